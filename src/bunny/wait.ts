import { waitForEnd } from "../machines/waiting.ts";
import { forEachMachine, parseMachineCommand, sweptPlaces } from "./machine-command.ts";

const HELP = `bunny wait - waits until machines have ended, and prints their exit statuses

Usage: bunny wait MACHINE...

Flags:
      --help               show help
`;

/** `bunny wait`. */
export async function wait(words: readonly string[]): Promise<number> {
  const parsed = parseMachineCommand(words, "bunny wait", HELP, {});
  if (parsed === undefined) return 0;
  return forEachMachine(
    await sweptPlaces(),
    parsed.rest,
    async (machine) => `${(await waitForEnd(machine))?.status}`,
  );
}
