import { randomBytes } from "node:crypto";
import { readFileSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { ContainerDirectory, type VmRecord, writeAtomically } from "../container/directory.ts";
import { type ExecChanges, execProcess } from "../container/exec-process.ts";
import { SANDBOX } from "../container/sandbox.ts";
import { UruncError } from "../errors.ts";
import { encodeExec } from "../guest/launch.ts";
import { encodeProcess } from "../guest/process.ts";
import { type Process, parseSpec } from "../oci/runtime-spec.ts";
import type { SystemCallFilter } from "../seccomp/filter.ts";
import type { Context } from "./context.ts";
import { Engine } from "./engine.ts";
import { type FlagSpecs, type ParsedFlags, parseFlags } from "./flags.ts";
import { refuseWithoutAgent } from "./guest-query.ts";
import { inheritedLimits, withLimits } from "./inherited-limits.ts";
import { standardInputIsNull } from "./standard-input.ts";
import { StartReport } from "./start-report.ts";

export const EXEC_FLAGS: FlagSpecs = {
  "console-socket": { kind: "string", help: "unix socket that gets the terminal's descriptor" },
  cwd: { kind: "string", help: "the working directory" },
  env: { kind: "strings", short: "e", help: "NAME=VALUE for the environment; may be repeated" },
  tty: { kind: "boolean", short: "t", help: "give the process a terminal" },
  user: { kind: "string", short: "u", help: "UID[:GID]" },
  "additional-gids": { kind: "strings", short: "g", help: "a further group; may be repeated" },
  process: { kind: "string", short: "p", help: "a file with the process, as in config.json" },
  detach: { kind: "boolean", short: "d", help: "do not wait for the process's end" },
  "pid-file": { kind: "string", help: "file to write the process id to, as the host sees it" },
  "process-label": { kind: "string", help: "ignored: the guest has no SELinux" },
  apparmor: { kind: "string", help: "ignored: the guest has no AppArmor" },
  "no-new-privs": { kind: "boolean", help: "the process can gain no privileges" },
  cap: { kind: "strings", short: "c", help: "a further capability; may be repeated" },
  "preserve-fds": { kind: "string", help: "0: a virtual machine takes no further descriptors" },
  cgroup: { kind: "strings", help: "not supported: the process is in the container's cgroup" },
  "ignore-paused": { kind: "boolean", help: "do not refuse a container that is paused" },
};

/** What `urunc exec` itself exits with when it fails, as runc does. */
const EXEC_FAILED = 255;

/**
 * `urunc exec`: a further process in the machine. The engine runs a second stand-in in the sandbox, which has the first
 * one start it (`docs/guest-protocol.md`, "Exec").
 */
export async function exec(context: Context, words: readonly string[]): Promise<number> {
  try {
    return await execInMachine(context, words);
  } catch (error) {
    if (!(error instanceof UruncError)) throw error;
    // In runc's words.
    throw new UruncError(error.code, `exec failed: ${error.message}`, {
      cause: error,
      exitStatus: EXEC_FAILED,
    });
  }
}

async function execInMachine(context: Context, words: readonly string[]): Promise<number> {
  const flags = parseFlags(words, EXEC_FLAGS, "urunc exec");
  const [id, ...args] = flags.rest;
  if (id === undefined) {
    throw new UruncError("usage", "a container id is missing: urunc exec [flags] ID COMMAND [ARGUMENT…]");
  }
  const engine: Engine = new Engine(context);
  const directory = new ContainerDirectory(context.root, id);
  const record = directory.readWhole();
  // The engine knows best what to say of a container that is not there.
  if (record?.kind !== "vm") engine.become(["exec", ...words]);
  refuseWithoutAgent(record);
  refuse(flags);
  const process = readProcess(record, flags, args);
  return await new Exec(engine, directory, record, process, flags).run(record.bootTimeout);
}

function refuse(flags: ParsedFlags): void {
  const preserved = flags.strings["preserve-fds"];
  if (preserved !== undefined && preserved !== "0") {
    throw new UruncError(
      "not-supported",
      "--preserve-fds cannot hand descriptors to a virtual machine: use a volume",
    );
  }
  if ((flags.lists["cgroup"] ?? []).length > 0) {
    throw new UruncError(
      "not-supported",
      "--cgroup: a process in a virtual machine is in the container's cgroup",
    );
  }
}

/** The process that the file describes, or the container's own with what the flags change. */
function readProcess(record: VmRecord, flags: ParsedFlags, args: string[]): Process {
  const file = flags.strings["process"];
  if (file === undefined) return execProcess(record.spec.process, changes(flags, args));
  let described: unknown;
  try {
    described = JSON.parse(readFileSync(file, "utf8"));
  } catch (cause) {
    const missing = (cause as NodeJS.ErrnoException).code === "ENOENT";
    const sentence = missing
      ? `open ${file}: no such file or directory`
      : `cannot read the process ${file}: ${(cause as Error).message}`;
    throw new UruncError("bundle-invalid", sentence, { cause });
  }
  // Checked as a part of the specification that it would be.
  return parseSpec(JSON.stringify({ ...record.spec, process: described }), file).process;
}

function changes(flags: ParsedFlags, args: string[]): ExecChanges {
  const { strings, booleans, lists } = flags;
  return {
    args,
    env: lists["env"] ?? [],
    terminal: booleans["tty"] === true,
    additionalGids: lists["additional-gids"] ?? [],
    capabilities: lists["cap"] ?? [],
    ...(strings["cwd"] === undefined ? {} : { cwd: strings["cwd"] }),
    ...(strings["user"] === undefined ? {} : { user: strings["user"] }),
    ...(booleans["no-new-privs"] === undefined ? {} : { noNewPrivileges: booleans["no-new-privs"] }),
  };
}

/** One call: the files that the second stand-in needs, the engine, and what becomes of them. */
class Exec {
  readonly #engine: Engine;
  readonly #directory: ContainerDirectory;
  readonly #process: Process;
  readonly #filter: SystemCallFilter | undefined;
  readonly #words: string[];
  readonly #name = `exec-${process.pid}-${randomBytes(6).toString("hex")}`;

  constructor(
    engine: Engine,
    directory: ContainerDirectory,
    record: VmRecord,
    process: Process,
    flags: ParsedFlags,
  ) {
    this.#engine = engine;
    this.#directory = directory;
    this.#process = process;
    this.#filter = record.filter;
    this.#words = [];
    for (const name of ["console-socket", "pid-file"]) {
      const path = flags.strings[name];
      if (path !== undefined) this.#words.push(`--${name}`, resolve(path));
    }
    for (const name of ["detach", "ignore-paused"]) if (flags.booleans[name]) this.#words.push(`--${name}`);
  }

  async run(patience: number): Promise<number> {
    const launch = join(this.#directory.vm, this.#name);
    const described = join(this.#directory.path, `${this.#name}.json`);
    const report = new StartReport(this.#directory, this.#name);
    try {
      const terminal = this.#process.terminal === true;
      const attached = !this.#words.includes("--detach");
      writeAtomically(launch, encodeExec(this.#document(), { terminal, attached }));
      writeAtomically(described, JSON.stringify(this.#standin()));
      await report.listen();
      const ended = this.#engine.runAside([
        "exec",
        "--process",
        described,
        ...this.#words,
        this.#directory.id,
      ]);
      try {
        await this.#begun(report, ended, patience);
      } catch (error) {
        await ended;
        throw error;
      }
      // Now, so that a caller that is killed later leaves nothing.
      this.#removeFiles();
      return await ended;
    } finally {
      report.close();
      this.#removeFiles();
    }
  }

  #removeFiles(): void {
    const { vm, path } = this.#directory;
    for (const file of [
      join(vm, this.#name),
      join(vm, `${this.#name}.sock`),
      join(path, `${this.#name}.json`),
    ])
      rmSync(file, { force: true });
  }

  /** Detached, the engine ends as soon as the stand-in has begun; else with it. One that fails has said why itself. */
  async #begun(report: StartReport, ended: Promise<number>, patience: number): Promise<void> {
    if (!this.#words.includes("--detach")) await report.startedBefore(ended);
    else if ((await ended) === 0) await report.started(patience);
  }

  #document(): Uint8Array {
    const process = withLimits(this.#process, inheritedLimits());
    return encodeProcess(process, { noStdin: standardInputIsNull(), filter: this.#filter });
  }

  /** The engine's process: the stand-in, with no rights at all. */
  #standin(): object {
    const none: string[] = [];
    return {
      terminal: this.#process.terminal === true,
      ...(this.#process.consoleSize ? { consoleSize: this.#process.consoleSize } : {}),
      user: { uid: 0, gid: 0 },
      args: [join(SANDBOX.files, "urunc-standin"), "--exec", this.#name],
      env: ["PATH=/usr/bin"],
      cwd: "/",
      capabilities: { bounding: none, effective: none, permitted: none, inheritable: none, ambient: none },
      rlimits: [{ type: "RLIMIT_CORE", soft: 0, hard: 0 }],
      noNewPrivileges: true,
    };
  }
}
