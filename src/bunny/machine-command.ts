import { UruncError } from "../errors.ts";
import { findMachine, sweepMachines } from "../machines/catalog.ts";
import type { Machine } from "../machines/machine.ts";
import { openPlaces, type Places } from "../machines/places.ts";
import { parseWords, type WordSpecs, type Words } from "../machines/words.ts";

/** A command on machines, its flags parsed; undefined when help was asked for, and printed. */
export function parseMachineCommand(
  words: readonly string[],
  command: string,
  help: string,
  specs: WordSpecs,
): Words | undefined {
  const parsed = parseWords(words, { ...specs, help: { kind: "boolean" } }, command, { interspersed: true });
  if (parsed.booleans["help"]) {
    process.stdout.write(help);
    return undefined;
  }
  if (parsed.rest.length === 0) {
    throw new UruncError(
      "usage",
      `${command} requires at least 1 argument, a machine: see "${command} --help"`,
    );
  }
  return parsed;
}

export function noArguments(rest: readonly string[], command: string): void {
  if (rest.length > 0) {
    throw new UruncError(
      "usage",
      `${command} accepts no arguments, not ${JSON.stringify(rest[0])}: see "${command} --help"`,
    );
  }
}

/** The places, with what those who were killed have left cleaned up. */
export async function sweptPlaces(): Promise<Places> {
  const places = openPlaces();
  await sweepMachines(places);
  return places;
}

/**
 * Does something with each of several machines, and says of each that it fails for why, as Docker does.
 *
 * @param act gives what is printed
 * @returns the command's status: 1 if it failed for one
 */
export async function forEachMachine(
  places: Places,
  names: readonly string[],
  act: (machine: Machine, name: string) => Promise<string>,
): Promise<number> {
  // All at once: to stop one takes up to its time.
  const results = await Promise.allSettled(
    names.map(async (name) => {
      process.stdout.write(`${await act(findMachine(places, name), name)}\n`);
    }),
  );
  let status = 0;
  for (const result of results) {
    if (result.status === "fulfilled") continue;
    if (!(result.reason instanceof UruncError)) throw result.reason;
    process.stderr.write(`${result.reason.message}\n`);
    status = 1;
  }
  return status;
}
