import { closeSync } from "node:fs";
import { UruncError } from "../errors.ts";
import { startInBackground } from "./background.ts";
import { type Machine, tryMachineLock } from "./machine.ts";
import type { Places } from "./places.ts";
import { claimPorts } from "./ports.ts";
import { findRoot } from "./roots.ts";
import { waitForKeeper } from "./waiting.ts";

/**
 * Starts a machine that has ended, again and in the background: of the same image, with what it was asked for. What it
 * had changed in its root went with its end. One that runs goes on.
 *
 * @throws UruncError `state`, `network`, `guest`; the machine has ended as before then, or with 125
 */
export async function startAgain(places: Places, machine: Machine): Promise<void> {
  if (machine.state().kind === "running") return;
  // Whoever kept it may still be tidying up.
  await waitForKeeper(machine);
  const lock = tryMachineLock(machine.path);
  if (lock === undefined) {
    if (machine.state().kind === "running") return;
    throw new UruncError(
      "state",
      `Container ${machine.id} is being started, or removed: look with "bunny ps -a"`,
    );
  }
  const { record } = machine;
  const root = record.root === undefined ? undefined : await findRoot(record.root);
  try {
    if (root === undefined) {
      throw new UruncError(
        "state",
        `the files of ${record.image.name} that ${record.name} was made of are gone from the cache: ` +
          'make a new machine with "bunny run"',
      );
    }
    await claimPorts(record.ports);
    const again = machine.forgetEnd();
    await startInBackground(places, again, lock);
  } finally {
    root?.release();
    closeSync(lock);
  }
}
