import { UruncError } from "../errors.ts";
import { signalMachine } from "../machines/engine.ts";
import { SIGKILL, signalNumber } from "../machines/signals.ts";
import { waitForEnd, waitForKeeper } from "../machines/waiting.ts";
import { forEachMachine, parseMachineCommand, sweptPlaces } from "./machine-command.ts";

const HELP = `bunny kill - sends a signal to machines' applications

Usage: bunny kill [flags] MACHINE...

Flags:
  -s, --signal SIGNAL      (default: KILL)
      --help               show help
`;

/** `bunny kill`. */
export async function kill(words: readonly string[]): Promise<number> {
  const parsed = parseMachineCommand(words, "bunny kill", HELP, { signal: { kind: "string", short: "s" } });
  if (parsed === undefined) return 0;
  const number = signalNumber(parsed.strings["signal"] ?? "KILL");
  const places = await sweptPlaces();
  return forEachMachine(places, parsed.rest, async (machine, name) => {
    if (machine.state().kind !== "running" || !signalMachine(places, machine.id, number)) {
      throw new UruncError("state", `Cannot kill container: ${name}: Container ${machine.id} is not running`);
    }
    if (number === SIGKILL) {
      await waitForEnd(machine);
      await waitForKeeper(machine);
    }
    return name;
  });
}
