import { signalMachine } from "./engine.ts";
import type { Machine } from "./machine.ts";
import type { Places } from "./places.ts";
import { SIGKILL } from "./signals.ts";
import { waitForEnd, waitForKeeper } from "./waiting.ts";

/** Asks a machine to end, and ends it if it has not after a while; one that has ended stays as it is. */
export async function stopMachine(
  places: Places,
  machine: Machine,
  signal: number,
  patience: number,
): Promise<void> {
  if (machine.state().kind === "exited") return;
  if (patience > 0) signalMachine(places, machine.id, signal);
  if ((await waitForEnd(machine, patience)) === undefined) {
    signalMachine(places, machine.id, SIGKILL);
    await waitForEnd(machine);
  }
  await waitForKeeper(machine);
}
