import { UruncError } from "../errors.ts";
import { findMachine } from "../machines/catalog.ts";
import { startAgain } from "../machines/restart.ts";
import { follow } from "./attach.ts";
import { forEachMachine, parseMachineCommand, sweptPlaces } from "./machine-command.ts";

const HELP = `bunny start - starts machines that have ended, again

Usage: bunny start [flags] MACHINE...

In the background, of the same image and with what they were asked for. What they had changed in their root went with
their end; volumes have it still.

Flags:
  -a, --attach             show what the machine writes, and end with its status
      --help               show help
`;

/** `bunny start`. */
export async function start(words: readonly string[]): Promise<number> {
  const parsed = parseMachineCommand(words, "bunny start", HELP, {
    attach: { kind: "boolean", short: "a" },
  });
  if (parsed === undefined) return 0;
  const { booleans, rest } = parsed;
  const places = await sweptPlaces();
  if (!booleans["attach"]) {
    return forEachMachine(places, rest, async (machine, name) => {
      await startAgain(places, machine);
      return name;
    });
  }
  if (rest.length !== 1)
    throw new UruncError("usage", "you cannot start and attach multiple containers at once");
  const machine = findMachine(places, rest[0] as string);
  return follow(places, machine, true, () => startAgain(places, machine));
}
