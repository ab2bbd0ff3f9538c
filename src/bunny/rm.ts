import { closeSync } from "node:fs";
import { UruncError } from "../errors.ts";
import { removeMachine } from "../machines/catalog.ts";
import { tryMachineLock } from "../machines/machine.ts";
import { SIGKILL } from "../machines/signals.ts";
import { stopMachine } from "../machines/stop.ts";
import { waitForKeeper } from "../machines/waiting.ts";
import { forEachMachine, parseMachineCommand, sweptPlaces } from "./machine-command.ts";

const HELP = `bunny rm - removes machines

Usage: bunny rm [flags] MACHINE...

Flags:
  -f, --force              end those that run, with SIGKILL
      --help               show help
`;

/** `bunny rm`. */
export async function rm(words: readonly string[]): Promise<number> {
  const parsed = parseMachineCommand(words, "bunny rm", HELP, { force: { kind: "boolean", short: "f" } });
  if (parsed === undefined) return 0;
  const places = await sweptPlaces();
  return forEachMachine(places, parsed.rest, async (machine, name) => {
    const runs = machine.state().kind !== "exited";
    if (runs && !parsed.booleans["force"]) {
      throw new UruncError(
        "state",
        `You cannot remove a running container ${machine.id}. Stop the container before attempting removal or force remove`,
      );
    }
    if (runs) await stopMachine(places, machine, SIGKILL, 0);
    await waitForKeeper(machine);
    const lock = tryMachineLock(machine.path);
    // Gone with its end.
    if (lock === undefined) return name;
    try {
      await removeMachine(places, machine);
    } finally {
      closeSync(lock);
    }
    return name;
  });
}
