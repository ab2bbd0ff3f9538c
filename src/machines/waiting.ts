import { closeSync, openSync } from "node:fs";
import { tryLock } from "../image/store/flock.ts";
import { type Machine, type MachineEnd, tryMachineLock } from "./machine.ts";

const INTERVAL = 20;
/** Milliseconds that a machine's removal waits for those who want to know how it ended. */
const PATIENCE = 2000;

/**
 * Waits until a machine has ended and whoever kept it is done.
 *
 * @param patience milliseconds; undefined afterwards
 * @returns how it ended; 137 where whoever kept it was killed
 */
export async function waitForEnd(
  machine: Machine,
  patience = Number.POSITIVE_INFINITY,
): Promise<MachineEnd | undefined> {
  const deadline = performance.now() + patience;
  const interest = holdInterest(machine);
  try {
    for (;;) {
      const end = machine.end();
      if (end !== undefined) return end;
      if (isAbandoned(machine)) return machine.end() ?? { status: 137, at: Date.now() };
      if (performance.now() > deadline) return undefined;
      await Bun.sleep(INTERVAL);
    }
  } finally {
    interest.release();
  }
}

/** As long as this is held, the machine's directory stays though the machine has ended; 2 seconds at most. */
export function holdInterest(machine: Machine): { release(): void } {
  const interest = openOrNothing(machine.bundle);
  if (interest !== undefined) tryLock(interest, "shared");
  return {
    release() {
      if (interest !== undefined) closeSync(interest);
    },
  };
}

/** Waits until whoever kept the machine has tidied up; the machine may be gone then. */
export async function waitForKeeper(machine: Machine): Promise<void> {
  const deadline = performance.now() + 5 * PATIENCE;
  while (machine.exists() && performance.now() < deadline) {
    const lock = tryMachineLock(machine.path);
    if (lock !== undefined) {
      closeSync(lock);
      return;
    }
    await Bun.sleep(INTERVAL);
  }
}

/** Before a machine's end goes with it: those who wait for it are let read it. */
export async function lockForEnd(machine: Machine): Promise<void> {
  const interest = openOrNothing(machine.bundle);
  if (interest === undefined) return;
  const deadline = performance.now() + PATIENCE;
  while (!tryLock(interest, "exclusive") && performance.now() < deadline) await Bun.sleep(INTERVAL);
  closeSync(interest);
}

function isAbandoned(machine: Machine): boolean {
  const lock = tryMachineLock(machine.path);
  if (lock === undefined) return !machine.exists();
  closeSync(lock);
  return true;
}

function openOrNothing(path: string): number | undefined {
  try {
    return openSync(path, "r");
  } catch {
    return undefined;
  }
}
