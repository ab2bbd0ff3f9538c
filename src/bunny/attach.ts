import { UruncError } from "../errors.ts";
import { findMachine } from "../machines/catalog.ts";
import { followMachine } from "../machines/follow.ts";
import type { Machine } from "../machines/machine.ts";
import type { Places } from "../machines/places.ts";
import { parseMachineCommand, sweptPlaces } from "./machine-command.ts";
import { writeOutput } from "./write-output.ts";

const HELP = `bunny attach - shows what a machine in the background writes from now on, and ends with its status

Usage: bunny attach [flags] MACHINE

Flags:
      --no-stdin           leave the machine's standard input alone; a must where it was started with --interactive
      --sig-proxy=false    do not pass signals on to the application
      --help               show help
`;

/** `bunny attach`. */
export async function attach(words: readonly string[]): Promise<number> {
  const parsed = parseMachineCommand(words, "bunny attach", HELP, {
    "no-stdin": { kind: "boolean" },
    "sig-proxy": { kind: "boolean" },
  });
  if (parsed === undefined) return 0;
  const { booleans, rest } = parsed;
  if (rest.length !== 1) {
    throw new UruncError("usage", 'bunny attach requires exactly 1 argument: see "bunny attach --help"');
  }
  const places = await sweptPlaces();
  const machine = findMachine(places, rest[0] as string);
  if (machine.state().kind !== "running") {
    throw new UruncError("state", "You cannot attach to a stopped container, start it first");
  }
  if (!machine.record.detached) {
    throw new UruncError(
      "state",
      `${rest[0]} runs in the foreground: its streams are those of who has started it`,
    );
  }
  if (!booleans["no-stdin"]) refuseInput(machine);
  return follow(places, machine, booleans["sig-proxy"] !== false);
}

/** Shows what a machine writes from now on; gives its status. */
export function follow(
  places: Places,
  machine: Machine,
  signals: boolean,
  begin?: () => Promise<void>,
): Promise<number> {
  return followMachine(places, machine, {
    signals,
    write: ({ stream, bytes }) => writeOutput(stream, bytes),
    ...(begin === undefined ? {} : { begin }),
  });
}

/** @throws UruncError `not-supported` for a machine whose standard input is open */
export function refuseInput({ record }: Machine): void {
  if (!record.interactive) return;
  throw new UruncError(
    "not-supported",
    `the standard input of ${record.name} cannot be reached from here: show its output with --no-stdin, or go in with ` +
      `"bunny exec -i ${record.name} COMMAND"`,
  );
}
