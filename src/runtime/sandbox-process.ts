import { readFileSync } from "node:fs";
import { type ContainerDirectory, writeAtomically } from "../container/directory.ts";

/** Milliseconds. The second is for a parent that does not wait for its children. */
const PATIENCE = 5000;
const PATIENCE_AFTER_KILL = 1000;
const INTERVAL = 10;

/**
 * The sandbox's first process as `create` left it. A process id alone may be another process's by the time of
 * `start`, and its network would be taken for the container's: the time it began makes it one of a kind.
 */
export class SandboxProcess {
  readonly pid: number;
  /** Field 22 of `/proc/PID/stat`: clock ticks since the host's boot. */
  readonly #began: string;

  private constructor(pid: number, began: string) {
    this.pid = pid;
    this.#began = began;
  }

  /** Notes the process that the engine wrote to the directory's pid file; undefined if it is gone already. */
  static note(directory: ContainerDirectory): SandboxProcess | undefined {
    const pid = Number.parseInt(readFileSync(directory.pidFile, "utf8"), 10);
    const noted = SandboxProcess.of(pid);
    if (noted !== undefined) writeAtomically(directory.processFile, `${pid} ${noted.#began}\n`);
    return noted;
  }

  /** The process that has this id now; undefined if there is none. */
  static of(pid: number): SandboxProcess | undefined {
    const began = look(pid)?.began;
    return began === undefined ? undefined : new SandboxProcess(pid, began);
  }

  /** What `note` noted, or undefined: `create` has not come so far. */
  static read(directory: ContainerDirectory): SandboxProcess | undefined {
    try {
      const [, pid, began] = /^(\d+) (\d+)\n$/.exec(readFileSync(directory.processFile, "utf8")) ?? [];
      return pid === undefined || began === undefined ? undefined : new SandboxProcess(Number(pid), began);
    } catch {
      return undefined;
    }
  }

  /** True until it has ended, whether or not its parent has taken note. */
  isAlive(): boolean {
    const now = look(this.pid);
    return now?.began === this.#began && now.state !== "Z" && now.state !== "X";
  }

  /**
   * Waits until the process is gone and its parent has taken note: who is told of a failed start deletes the container
   * at once, and would be refused. Kills it if it takes too long.
   */
  async ended(): Promise<void> {
    for (const patience of [PATIENCE, PATIENCE_AFTER_KILL]) {
      const end = performance.now() + patience;
      const isThere = () => look(this.pid)?.began === this.#began;
      while (isThere() && performance.now() < end) await Bun.sleep(INTERVAL);
      if (!isThere()) return;
      process.kill(this.pid, "SIGKILL");
    }
  }
}

/** The process's state and beginning, fields 3 and 22 of `/proc/PID/stat`; undefined if there is none. */
function look(pid: number): { state: string; began: string } | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    // The second field, the program's name in parentheses, may hold anything; field 3 begins behind the last one.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return { state: fields[0] ?? "", began: fields[22 - 3] ?? "" };
  } catch {
    return undefined;
  }
}
