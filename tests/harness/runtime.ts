import { randomBytes } from "node:crypto";
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";
import { until } from "./command.ts";

/**
 * The runtime that is tested: this checkout's, or that of `URUNC_TEST_RUNTIME`. Most tests describe what any
 * OCI runtime does, so that running them with `runc` checks the tests.
 */
export const runtimePath: string =
  process.env["URUNC_TEST_RUNTIME"] ?? resolve(import.meta.dir, "../../dist/bin/urunc");

/** False when the tests are being checked against a container runtime. */
export const runsMachines: boolean = basename(runtimePath).startsWith("urunc");

/** One line of the log that a caller of a runtime reads. */
export interface LogLine {
  readonly level: string;
  readonly msg: string;
  readonly time: string;
}

/** What one call gave. The container keeps writing to the same files after `create` has ended. */
export interface Call {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
  /** The lines of `--log`, parsed. */
  readonly log: LogLine[];
  /** What has been written by now, also by the container. */
  output(): { stdout: string; stderr: string };
}

/** What a call may be given. */
export interface CallOptions {
  readonly cwd?: string;
  readonly env?: Record<string, string>;
  /** A file to read; default nothing. */
  readonly stdinPath?: string;
  readonly timeoutMs?: number;
}

/** A call whose end is not awaited yet. */
export interface RunningCall {
  readonly pid: number;
  readonly ended: Promise<Call>;
  /** What has been written by now. */
  output(): { stdout: string; stderr: string };
}

/** The state that `state` prints (OCI runtime specification, "State"), with runc's additions. */
export interface ContainerState {
  readonly ociVersion: string;
  readonly id: string;
  readonly pid: number;
  readonly status: "creating" | "created" | "running" | "stopped" | "paused";
  readonly bundle: string;
  readonly rootfs?: string;
  readonly created?: string;
  readonly owner?: string;
  readonly annotations?: Record<string, string>;
}

/** A runtime with a state root of its own, called as containerd's shim does. */
export interface Runtime {
  /** The value of `--root`. */
  readonly root: string;
  /** A directory for what belongs to the test; removed at the end. */
  readonly directory: string;
  /** An id that nothing else on this machine has. */
  newId(): string;
  /** `RUNTIME --root R --log L --log-format json ARGS` */
  call(args: readonly string[], options?: CallOptions): Promise<Call>;
  /** The same, not awaited. */
  begin(args: readonly string[], options?: CallOptions): RunningCall;
  /** A call that must succeed. */
  succeed(args: readonly string[], options?: CallOptions): Promise<Call>;
  /** What `state ID` prints. */
  state(id: string): Promise<ContainerState>;
  /** Waits until `state` says so. */
  untilStatus(id: string, status: ContainerState["status"]): Promise<ContainerState>;
  /** Deletes all containers and the directories. */
  remove(): Promise<void>;
}

/** Opens the runtime under test (or `program`) with an empty root of its own. */
export function openRuntime(program: string = runtimePath): Runtime {
  if (!existsSync(program)) throw new Error(`no runtime at ${program}: build it first`);
  const directory = mkdtempSync(join(tmpdir(), "urt-"));
  const root = join(directory, "root");
  const token = randomBytes(4).toString("hex");
  const ids: string[] = [];
  let calls = 0;

  const begin = (args: readonly string[], options: CallOptions = {}): RunningCall => {
    const base = join(directory, `call-${++calls}`);
    // Files, not pipes: the container inherits them, so that a pipe would not end with the call.
    const out = openSync(`${base}.stdout`, "w");
    const err = openSync(`${base}.stderr`, "w");
    const input = openSync(options.stdinPath ?? "/dev/null", "r");
    const log = `${base}.log`;
    const child = Bun.spawn([program, "--root", root, "--log", log, "--log-format", "json", ...args], {
      stdin: input,
      stdout: out,
      stderr: err,
      cwd: options.cwd ?? directory,
      env: options.env ?? process.env,
    });
    for (const descriptor of [out, err, input]) closeSync(descriptor);
    const output = () => ({
      stdout: readFileSync(`${base}.stdout`, "utf8"),
      stderr: readFileSync(`${base}.stderr`, "utf8"),
    });
    const timeoutMs = options.timeoutMs ?? 120_000;
    const ended = (async () => {
      let late = false;
      const timer = setTimeout(() => {
        late = true;
        child.kill("SIGKILL");
      }, timeoutMs);
      const exitCode = await child.exited;
      clearTimeout(timer);
      const written = output();
      if (late) throw new Error(`${args.join(" ")}: still running after ${timeoutMs} ms\n${written.stderr}`);
      return { exitCode, ...written, log: parseLog(log), output };
    })();
    return { pid: child.pid, ended, output };
  };
  const call = (args: readonly string[], options?: CallOptions) => begin(args, options).ended;
  const succeed = async (args: readonly string[], options?: CallOptions) => {
    const result = await call(args, options);
    if (result.exitCode !== 0)
      throw new Error(`${args.join(" ")}: exit ${result.exitCode}\n${result.stderr}`);
    return result;
  };
  const state = async (id: string) => JSON.parse((await succeed(["state", id])).stdout) as ContainerState;

  return {
    root,
    directory,
    newId() {
      const id = `t${token}-${ids.length + 1}`;
      ids.push(id);
      return id;
    },
    call,
    begin,
    succeed,
    state,
    untilStatus: (id, status) =>
      until(`${id} is ${status}`, async () => {
        const now = await state(id);
        return now.status === status && now;
      }),
    async remove() {
      for (const id of ids) await call(["delete", "--force", id]);
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

function parseLog(path: string): LogLine[] {
  if (!existsSync(path)) return [];
  return readFileSync(path, "utf8")
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as LogLine);
}
