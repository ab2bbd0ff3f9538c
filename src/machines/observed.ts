import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { UruncError } from "../errors.ts";
import { RUN_FAILED } from "./attached.ts";
import { removeMachine } from "./catalog.ts";
import { ownProgram } from "./engine.ts";
import type { Machine } from "./machine.ts";
import type { Places } from "./places.ts";

/** The hidden command of the process that an observed machine is run by. */
export const OBSERVED = "machine-observed";

/** What that process says at the end, as JSON. */
export type ObservedEnd =
  /** The application's status. */
  | { kind: "ended"; status: number }
  /** It did not come to run. */
  | { kind: "failed"; sentence: string };

/** The descriptor that it says it by; closed at our end, the machine is to end. */
export const OBSERVED_REPORT = 3;

export interface ObservedOptions {
  /** What the machine writes, in pieces as they come. */
  output(bytes: Buffer, stream: "stdout" | "stderr"): void;
  signal: AbortSignal;
}

/**
 * Runs a machine, without standard input, and gives what it writes to the caller. It has a process of its own in between:
 * a machine has its parent's standard streams, and what a terminal sends to this process is no business of the machine's.
 * The machine ends with this process, however that ends.
 *
 * @param lock the machine's, which that process has, too
 * @returns the application's status; the machine's directory stays then
 * @throws UruncError `guest`: it did not come to run; the signal's reason. Nothing of the machine is left then
 */
export async function runObserved(
  places: Places,
  machine: Machine,
  lock: number,
  { output, signal }: ObservedOptions,
): Promise<number> {
  const end = await observe(machine, lock, { output, signal });
  if (end?.kind === "ended" && !signal.aborted) return end.status;
  await removeMachine(places, machine);
  signal.throwIfAborted();
  throw new UruncError("guest", end?.kind === "failed" ? end.sentence : "the machine's process was killed", {
    exitStatus: RUN_FAILED,
  });
}

async function observe(
  machine: Machine,
  lock: number,
  { output, signal }: ObservedOptions,
): Promise<ObservedEnd | undefined> {
  signal.throwIfAborted();
  const [path, name] = ownProgram("bunny");
  const child = spawn(path, [OBSERVED, machine.id], {
    argv0: name,
    stdio: ["ignore", "pipe", "pipe", "pipe", lock],
    // What is typed at the terminal ends the build, which ends the machine.
    detached: true,
  });
  const kill = () => void child.kill("SIGKILL");
  signal.addEventListener("abort", kill);
  try {
    child.stdout?.on("data", (bytes: Buffer) => output(bytes, "stdout"));
    child.stderr?.on("data", (bytes: Buffer) => output(bytes, "stderr"));
    const [report] = await Promise.all([reportOf(child), once(child, "close")]);
    return report === "" ? undefined : (JSON.parse(report) as ObservedEnd);
  } catch (cause) {
    throw new UruncError("guest", `cannot run ${path}: ${(cause as Error).message}`, { cause });
  } finally {
    signal.removeEventListener("abort", kill);
  }
}

async function reportOf(child: ChildProcess): Promise<string> {
  let text = "";
  const stream = child.stdio[OBSERVED_REPORT] as NodeJS.ReadableStream;
  stream.on("data", (part: Buffer) => {
    text += part.toString();
  });
  await once(stream, "close");
  return text;
}
