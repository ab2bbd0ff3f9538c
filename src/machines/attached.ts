import { dlopen } from "bun:ffi";
import { closeSync, openSync, rmSync } from "node:fs";
import { UruncError } from "../errors.ts";
import { run as runInRuntime } from "../runtime/run.ts";
import { runtimeContext, statusOfSentence } from "./engine.ts";
import type { Machine } from "./machine.ts";
import type { Places } from "./places.ts";

/** What `bunny run` itself ends with when it fails, as Docker does. */
export const RUN_FAILED = 125;

/** Gives this process an empty standard input, which what it starts inherits. */
export function closeStandardInput(): void {
  const { dup2 } = dlopen("libc.so.6", { dup2: { args: ["i32", "i32"], returns: "i32" } }).symbols;
  const nothing = openSync("/dev/null", "r");
  dup2(nothing, 0);
  closeSync(nothing);
}

/**
 * Runs a machine with this process's standard streams; it ends with this process, however that ends.
 *
 * @param keep its directory stays, for whoever has its lock to remove
 * @returns the application's status, or the runtime's failure's
 * @throws UruncError with the status that `bunny run` is to end with
 */
export async function runAttached(places: Places, machine: Machine, keep = false): Promise<number> {
  let started = false;
  const onStarted = () => {
    started = true;
    machine.markStarted();
  };
  let status = RUN_FAILED;
  try {
    const words = ["--bundle", machine.bundle, machine.id];
    status = await runInRuntime(runtimeContext(places), words, { attached: true, onStarted });
    // The engine has said itself why.
    if (!started) status = RUN_FAILED;
    return status;
  } catch (error) {
    if (!(error instanceof UruncError)) throw error;
    status = statusOfSentence(error.message, RUN_FAILED);
    throw new UruncError(error.code, error.message, { cause: error, exitStatus: status });
  } finally {
    // One that never ran is nobody's: its caller was told.
    if (!keep && (machine.record.remove || !started)) rmSync(machine.path, { recursive: true, force: true });
    else if (started) machine.markEnded(status);
  }
}
