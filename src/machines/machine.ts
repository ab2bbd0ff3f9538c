import { closeSync, fstatSync, openSync, readFileSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { writeAtomically } from "../container/directory.ts";
import type { Accounts } from "../image/accounts.ts";
import { tryLock } from "../image/store/flock.ts";
import type { PublishedPort } from "../network/published.ts";

/** What a machine is, as `run` decided. One that is started again is in the background from then on; nothing else changes. */
export interface MachineRecord {
  version: 1;
  id: string;
  name: string;
  /** As `Date.toISOString`. */
  created: string;
  image: { name: string; digest: string };
  args: string[];
  detached: boolean;
  terminal: boolean;
  interactive: boolean;
  /** `--rm` */
  remove: boolean;
  network: "user" | "none";
  ports: PublishedPort[];
  labels: Record<string, string>;
  /** By which `stop` asks it to end. */
  stopSignal: number;
  accounts: Accounts;
  /** The directory of the image's files that it was made of; undefined: it cannot be started again. */
  root?: string;
}

/** How a machine ended. */
export interface MachineEnd {
  status: number;
  /** Milliseconds since 1970. */
  at: number;
}

export type MachineState =
  | { kind: "created" }
  /** `since`: milliseconds since 1970. */
  | { kind: "running"; since: number }
  | { kind: "exited"; end: MachineEnd; since: number | undefined }
  /** Whoever kept it was killed: what is left is to be cleaned. */
  | { kind: "abandoned" };

/** What of a machine is written to its directory at the start and the end. */
const RECORD = "machine.json";
export const BUNDLE = "bundle";
export const UPPER = "upper.ext4";
const STARTED = "started";
const EXIT = "exit";

/** A machine's directory: see `docs/run.md`, "Where things are". */
export class Machine {
  readonly path: string;
  readonly record: MachineRecord;

  constructor(path: string, record: MachineRecord) {
    this.path = path;
    this.record = record;
  }

  /** The machine in a directory; undefined: there is none, or its maker has not come so far. */
  static read(path: string): Machine | undefined {
    try {
      return new Machine(path, JSON.parse(readFileSync(join(path, RECORD), "utf8")) as MachineRecord);
    } catch (error) {
      if (["ENOENT", "ENOTDIR"].includes((error as NodeJS.ErrnoException).code ?? "")) return undefined;
      throw error;
    }
  }

  get id(): string {
    return this.record.id;
  }

  get bundle(): string {
    return join(this.path, BUNDLE);
  }

  /** A file system that has what it has changed, where that is kept. */
  get upper(): string {
    return join(this.path, UPPER);
  }

  /** Of its first process, where it runs in the background. */
  get pidFile(): string {
    return join(this.path, "pid");
  }

  /** What the runtime had to say, in its JSON. */
  get runtimeLog(): string {
    return join(this.path, "runtime.log");
  }

  write(): void {
    writeAtomically(join(this.path, RECORD), JSON.stringify(this.record));
  }

  markStarted(): void {
    writeAtomically(join(this.path, STARTED), "");
  }

  markEnded(status: number): void {
    writeAtomically(join(this.path, EXIT), `${status} ${(Date.now() / 1000).toFixed(9)}\n`);
  }

  /**
   * Makes a machine that has ended one that is about to be started in the background. That it has run before stays: it is
   * not removed where it does not start.
   *
   * @returns the machine as it is then
   */
  forgetEnd(): Machine {
    const again = new Machine(this.path, { ...this.record, detached: true });
    again.write();
    for (const path of [this.pidFile, this.runtimeLog, join(this.path, EXIT)]) rmSync(path, { force: true });
    return again;
  }

  /** Whether its application has run at any time. */
  hasRun(): boolean {
    return statSync(join(this.path, STARTED), { throwIfNoEntry: false }) !== undefined;
  }

  end(): MachineEnd | undefined {
    try {
      const [, status, at] =
        /^([0-9]{1,3}) ([0-9]+\.[0-9]+)\n$/.exec(readFileSync(join(this.path, EXIT), "utf8")) ?? [];
      return status === undefined ? undefined : { status: Number(status), at: Number(at) * 1000 };
    } catch {
      return undefined;
    }
  }

  /** Whether the directory is still there. */
  exists(): boolean {
    return statSync(join(this.path, RECORD), { throwIfNoEntry: false }) !== undefined;
  }

  state(): MachineState {
    const since = statSync(join(this.path, STARTED), { throwIfNoEntry: false })?.mtimeMs;
    const over = (): MachineState | undefined => {
      const end = this.end();
      return end === undefined ? undefined : { kind: "exited", end, since };
    };
    const ended = over();
    if (ended !== undefined) return ended;
    const lock = tryMachineLock(this.path);
    // Whoever has it may have ended between the two looks.
    if (lock !== undefined) {
      closeSync(lock);
      return over() ?? { kind: "abandoned" };
    }
    return since === undefined ? { kind: "created" } : { kind: "running", since };
  }

  removeFiles(): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

/**
 * The lock of a machine's directory, which whoever keeps the machine holds as long as it lives; undefined where another
 * has it, or the directory is gone.
 */
export function tryMachineLock(path: string): number | undefined {
  let lock: number;
  try {
    lock = openSync(path, "r");
  } catch {
    return undefined;
  }
  const mine =
    tryLock(lock, "exclusive") && statSync(path, { throwIfNoEntry: false })?.ino === fstatSync(lock).ino;
  if (mine) return lock;
  closeSync(lock);
  return undefined;
}
