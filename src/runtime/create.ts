import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { writeAtomically } from "../container/directory.ts";
import { UruncError } from "../errors.ts";
import type { Context } from "./context.ts";
import { ENGINE_KILLED, Engine } from "./engine.ts";
import { type FlagSpecs, type ParsedFlags, parseFlags } from "./flags.ts";
import { removeLeftCgroups } from "./left-cgroups.ts";
import { prepareContainer } from "./prepare.ts";
import { SandboxProcess } from "./sandbox-process.ts";

export const CREATE_FLAGS: FlagSpecs = {
  bundle: { kind: "string", short: "b", help: "the bundle's directory (default: the current one)" },
  "console-socket": { kind: "string", help: "unix socket that gets the terminal's descriptor" },
  "pid-file": { kind: "string", help: "file to write the container's process id to" },
  "no-pivot": { kind: "boolean", help: "do not use pivot_root for the sandbox" },
  "no-new-keyring": { kind: "boolean", help: "do not make a new session keyring for the sandbox" },
  config: { kind: "string", help: "another file than config.json, relative to the bundle, as crun has it" },
  "preserve-fds": { kind: "string", help: "0: a virtual machine takes no further descriptors" },
};

/** `urunc create`: makes the sandbox, in which `start` will start the machine. */
export async function create(context: Context, words: readonly string[]): Promise<number> {
  const flags = parseFlags(words, CREATE_FLAGS, "urunc create");
  const id = onlyId(flags, "create");
  const engine: Engine = new Engine(context);
  const pidFile = flags.strings["pid-file"];
  const absolutePidFile = pidFile === undefined ? undefined : resolve(pidFile);
  const passed = engineCreateFlags(flags);
  const configFile = flags.strings["config"];
  const { directory, record, engineBundle } = await prepareContainer(context, {
    id,
    bundle: flags.strings["bundle"] ?? ".",
    ...(configFile === undefined ? {} : { configFile }),
  });
  let status: number;
  try {
    status = engine.run(["create", ...passed, "--bundle", engineBundle, "--pid-file", directory.pidFile, id]);
    if (status === 0) {
      SandboxProcess.note(directory);
      if (absolutePidFile !== undefined)
        writeAtomically(absolutePidFile, readFileSync(directory.pidFile), 0o644);
    }
  } catch (error) {
    engine.read(["delete", "--force", id], true);
    directory.remove();
    throw error;
  }
  if (status === ENGINE_KILLED) {
    // It could not clean up after itself.
    engine.read(["delete", "--force", id], true);
    if (record.kind === "vm") await removeLeftCgroups(record.spec.linux?.cgroupsPath);
  }
  if (status !== 0) directory.remove();
  return status;
}

/** The flags of `create` and `run` that are the engine's business. */
export function engineCreateFlags(flags: ParsedFlags): string[] {
  const preserved = flags.strings["preserve-fds"];
  if (preserved !== undefined && preserved !== "0") {
    throw new UruncError(
      "not-supported",
      "--preserve-fds cannot hand descriptors to a virtual machine: use a volume or the network instead",
    );
  }
  const passed: string[] = [];
  const socket = flags.strings["console-socket"];
  if (socket !== undefined) passed.push("--console-socket", resolve(socket));
  for (const name of ["no-pivot", "no-new-keyring"]) if (flags.booleans[name]) passed.push(`--${name}`);
  return passed;
}

/** The container's id, where a verb takes nothing else. */
export function onlyId(flags: ParsedFlags, verb: string): string {
  const [id, ...more] = flags.rest;
  if (id === undefined || more.length > 0) {
    throw new UruncError("usage", `urunc ${verb} takes exactly one container id: urunc ${verb} [flags] ID`);
  }
  return id;
}
