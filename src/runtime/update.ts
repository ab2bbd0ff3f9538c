import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { ContainerDirectory, type VmRecord, writeAtomically } from "../container/directory.ts";
import { planUpdate, type UpdatePlan } from "../container/update-plan.ts";
import { vmSpec } from "../container/vm.ts";
import { UruncError } from "../errors.ts";
import { recordedMonitor } from "../monitor/monitors.ts";
import { parseSpec, type Resources } from "../oci/runtime-spec.ts";
import type { Context } from "./context.ts";
import { onlyId } from "./create.ts";
import { Engine } from "./engine.ts";
import { type FlagSpecs, type ParsedFlags, parseFlags } from "./flags.ts";
import { askGuest } from "./guest-query.ts";
import { containerStatus } from "./status.ts";
import { flagResources } from "./update-flags.ts";

export const UPDATE_FLAGS: FlagSpecs = {
  resources: {
    kind: "string",
    short: "r",
    help: "file with the resources as in config.json, or - for standard input",
  },
  "blkio-weight": { kind: "string", help: "weight of block input and output, 10 to 1000" },
  "cpu-period": { kind: "string", help: "length of the period that the quota is of, in microseconds" },
  "cpu-quota": { kind: "string", help: "processor time in a period, in microseconds" },
  "cpu-share": { kind: "string", help: "weight against other containers" },
  "cpu-rt-period": { kind: "string", help: "the same as --cpu-period, of real-time processes" },
  "cpu-rt-runtime": { kind: "string", help: "the same as --cpu-quota, of real-time processes" },
  "cpuset-cpus": { kind: "string", help: "the host's processors that are used" },
  "cpuset-mems": { kind: "string", help: "the host's memory nodes that are used" },
  "kernel-memory": { kind: "string", help: "ignored, as runc does" },
  "kernel-memory-tcp": { kind: "string", help: "ignored, as runc does" },
  memory: { kind: "string", help: "memory of the guest, at most what it was started with" },
  "memory-reservation": { kind: "string", help: "memory that the host reclaims last" },
  "memory-swap": { kind: "string", help: "memory and swap together; -1 for unlimited swap" },
  "pids-limit": { kind: "string", help: "number of processes in the guest; -1 for no limit" },
  "l3-cache-schema": { kind: "string", help: "schema of the third cache (Intel RDT)" },
  "mem-bw-schema": { kind: "string", help: "schema of memory bandwidth (Intel RDT)" },
};

/** Flags that the engine gets as they are. */
const ENGINE_FLAGS = ["l3-cache-schema", "mem-bw-schema"];

/** `urunc update`: changes limits of a machine that runs, the guest's own and the sandbox's: all of them, or none. */
export async function update(context: Context, words: readonly string[]): Promise<number> {
  const flags = parseFlags(words, UPDATE_FLAGS, "urunc update");
  const id = onlyId(flags, "update");
  const engine: Engine = new Engine(context);
  const directory = new ContainerDirectory(context.root, id);
  const record = directory.readWhole();
  if (record?.kind !== "vm") engine.become(["update", ...words]);
  const asked = resources(record, flags);
  if (asked.memory?.["kernel"] || asked.memory?.["kernelTCP"]) {
    context.log.warning("Kernel memory settings are ignored and will be removed");
  }
  const monitor = recordedMonitor(record.monitor).plan(vmSpec(record, { kind: "none" }));
  const plan = planUpdate(record, monitor.overheadMiB, asked);
  const found = containerStatus(engine, id);
  if (found.kind === "unknown") return found.exitStatus;
  const { status } = found;
  if (status === "stopped") throw new UruncError("state", "container not running");
  if (plan.guest.length > 0 && status !== "running") {
    throw new UruncError(
      "state",
      `the virtual machine is ${status}: memory and pids can be changed while it runs`,
    );
  }
  const passed = ENGINE_FLAGS.flatMap((name) => {
    const value = flags.strings[name];
    return value === undefined ? [] : [`--${name}`, value];
  });
  return await change(engine, directory, plan, passed);
}

/** The guest first: what it does not take is not tried on the host, and what it took is taken back. */
async function change(
  engine: Engine,
  directory: ContainerDirectory,
  plan: UpdatePlan,
  passed: readonly string[],
): Promise<number> {
  const limits = plan.guest.map(([file, value]) => `${file} ${value}\n`).join("");
  const before = limits === "" ? "" : await askGuest(directory, { verb: "update", argument: limits });
  if (plan.engine === undefined && passed.length === 0) return 0;
  const file = join(directory.path, `update-${process.pid}.json`);
  try {
    writeAtomically(file, JSON.stringify(plan.engine ?? {}));
    const status = engine.run(["update", ...passed, "--resources", file, directory.id]);
    if (status !== 0 && before !== "") await askGuest(directory, { verb: "update", argument: before });
    return status;
  } finally {
    rmSync(file, { force: true });
  }
}

/** As runc: with a file the other flags do not count. */
function resources(record: VmRecord, flags: ParsedFlags): Resources {
  const file = flags.strings["resources"];
  if (!file) return flagResources(flags);
  let given: unknown;
  try {
    given = JSON.parse(readFileSync(file === "-" ? 0 : file, "utf8"));
  } catch (cause) {
    throw new UruncError("usage", `cannot read the resources ${file}: ${(cause as Error).message}`, {
      cause,
    });
  }
  // Checked as a part of the specification that they would be.
  const linux = { ...record.spec.linux, resources: given };
  return parseSpec(JSON.stringify({ ...record.spec, linux }), file).linux?.resources ?? {};
}
