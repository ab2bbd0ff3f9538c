import { closeSync, openSync, writeSync } from "node:fs";
import { UruncError } from "../errors.ts";
import { TOOL_PATH } from "./tools.ts";

export interface StepOptions {
  /** What the error says was going on, as `unpack the source`. */
  what: string;
  /** Everything that the step prints is added to this file. */
  log: string;
  cwd?: string;
  env?: Record<string, string>;
  signal?: AbortSignal | undefined;
  onLine?: (line: string) => void;
}

/** A program of a build that failed: its log is the user's to read. */
export class StepError extends UruncError {}

/** What a failing step's error shows of its output. */
const SHOWN_LINES = 20;

/**
 * Runs one program of a build. It has a session of its own, so that a terminal's Ctrl-C comes to us alone and we
 * end it in order; and it is ended if we are killed.
 *
 * @throws UruncError `kernel-build` with the last lines of the output and the place of the log, or when interrupted
 */
export async function runStep(argv: readonly string[], options: StepOptions): Promise<void> {
  throwIfInterrupted(options.signal);
  const child = Bun.spawn(["setpriv", "--pdeathsig", "TERM", "sh", "-c", 'exec "$@" 2>&1', "sh", ...argv], {
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    env: { PATH: TOOL_PATH, HOME: process.env["HOME"] ?? "/", LC_ALL: "C", TZ: "UTC", ...options.env },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "ignore",
    detached: true,
  });
  const interrupt = () => endGroup(child.pid);
  options.signal?.addEventListener("abort", interrupt);
  try {
    const last = await readLines(child.stdout, options);
    const status = await child.exited;
    throwIfInterrupted(options.signal);
    if (status !== 0) throw failure(options, last);
  } finally {
    options.signal?.removeEventListener("abort", interrupt);
  }
}

/** The error of a build that a signal ended; the status is a shell's for SIGINT. */
export function throwIfInterrupted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) {
    throw new UruncError("kernel-build", "the kernel's build was interrupted; nothing is left of it", {
      exitStatus: 130,
    });
  }
}

/** Adds the output to the log, and gives its last lines. */
async function readLines(output: ReadableStream<Uint8Array>, options: StepOptions): Promise<string[]> {
  const log = openSync(options.log, "a");
  const decoder = new TextDecoder();
  const last: string[] = [];
  let rest = "";
  const take = (line: string) => {
    last.push(line);
    if (last.length > SHOWN_LINES) last.shift();
    options.onLine?.(line);
  };
  try {
    for await (const chunk of output) {
      writeSync(log, chunk);
      const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
      rest = lines.pop() as string;
      lines.forEach(take);
    }
    if (rest !== "") take(rest);
  } finally {
    closeSync(log);
  }
  return last;
}

function endGroup(pid: number): void {
  try {
    process.kill(-pid, "SIGTERM");
  } catch {
    // It has ended by itself.
  }
}

function failure(options: StepOptions, last: readonly string[]): StepError {
  return new StepError(
    "kernel-build",
    `cannot ${options.what}; the whole output is in ${options.log}, and its last lines are:\n${last.join("\n")}`,
  );
}
