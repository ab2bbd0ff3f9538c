import { UruncError } from "../errors.ts";
import { signalNumber } from "../machines/signals.ts";
import { stopMachine } from "../machines/stop.ts";
import { forEachMachine, parseMachineCommand, sweptPlaces } from "./machine-command.ts";

const HELP = `bunny stop - asks machines to end, and ends those that do not

Usage: bunny stop [flags] MACHINE...

Flags:
  -t, --time SECONDS       how long they may take (default: 10)
  -s, --signal SIGNAL      in the place of the image's stop signal
      --help               show help
`;

const PATIENCE = "10";

/** `bunny stop`. */
export async function stop(words: readonly string[]): Promise<number> {
  const parsed = parseMachineCommand(words, "bunny stop", HELP, {
    time: { kind: "string", short: "t" },
    signal: { kind: "string", short: "s" },
  });
  if (parsed === undefined) return 0;
  const { time = PATIENCE, signal } = parsed.strings;
  if (!/^[0-9]{1,6}$/.test(time)) {
    throw new UruncError(
      "usage",
      `invalid argument ${JSON.stringify(time)} for "-t, --time" flag: a number of seconds`,
    );
  }
  const number = signal === undefined ? undefined : signalNumber(signal);
  const places = await sweptPlaces();
  return forEachMachine(places, parsed.rest, async (machine, name) => {
    await stopMachine(places, machine, number ?? machine.record.stopSignal, Number(time) * 1000);
    return name;
  });
}
