import { read, writeSync } from "node:fs";
import { join } from "node:path";
import { UruncError } from "../errors.ts";
import { runAttached } from "../machines/attached.ts";
import { Machine } from "../machines/machine.ts";
import { OBSERVED_REPORT, type ObservedEnd } from "../machines/observed.ts";
import { openPlaces } from "../machines/places.ts";

/** What it ends with when nobody listens any more. */
const ABANDONED = 137;

/** Runs a machine for a process that reads its output, and reports its end to it. */
export async function machineObserved([id = ""]: readonly string[]): Promise<number> {
  const places = openPlaces();
  const machine = Machine.read(join(places.machines, id));
  if (machine === undefined) return 1;
  // Nothing is ever sent: it is the end that is waited for.
  read(OBSERVED_REPORT, Buffer.alloc(1), 0, 1, null, () => {
    // The machine ends with this process; whoever comes next cleans up.
    process.exit(ABANDONED);
  });
  const end = await endOf(machine, () => runAttached(places, machine, true));
  writeSync(OBSERVED_REPORT, JSON.stringify(end));
  // What is still waited for would keep it from ending by itself.
  process.exit(0);
}

async function endOf(machine: Machine, run: () => Promise<number>): Promise<ObservedEnd> {
  try {
    const status = await run();
    if (machine.end() !== undefined) return { kind: "ended", status };
    // The engine has said why.
    return { kind: "failed", sentence: "the machine could not be started" };
  } catch (error) {
    if (!(error instanceof UruncError)) throw error;
    return { kind: "failed", sentence: error.message };
  }
}
