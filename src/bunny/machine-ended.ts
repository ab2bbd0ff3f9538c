import { join } from "node:path";
import { RUN_FAILED } from "../machines/attached.ts";
import { removeMachine } from "../machines/catalog.ts";
import { deleteFromRuntime } from "../machines/engine.ts";
import { Machine } from "../machines/machine.ts";
import { openPlaces } from "../machines/places.ts";
import { lockForEnd } from "../machines/waiting.ts";

/** What the keeper of a machine becomes at its end, with the machine's lock: takes away what is not needed any more. */
export async function machineEnded([id = ""]: readonly string[]): Promise<number> {
  const places = openPlaces();
  const machine = Machine.read(join(places.machines, id));
  if (machine === undefined) return 1;
  await deleteFromRuntime(places, id);
  const hasEnded = machine.end() !== undefined;
  if (!machine.record.remove && hasEnded) return 0;
  if (!machine.record.remove && machine.hasRun()) {
    machine.markEnded(RUN_FAILED);
    return 0;
  }
  // One that never ran is nobody's: its caller was told.
  await lockForEnd(machine);
  await removeMachine(places, machine);
  return 0;
}
