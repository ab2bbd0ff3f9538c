import { UruncError } from "../errors.ts";
import { RUNTIME_SPEC_VERSION, VERSION } from "../version.ts";
import { GLOBAL_FLAGS, parseGlobal } from "./context.ts";
import { Log } from "./log.ts";
import { generalHelp, runVerb, verbHelp } from "./verbs.ts";

/**
 * The command `urunc`.
 *
 * @param words the command line without the program's name
 * @returns the exit status
 */
export async function urunc(words: readonly string[]): Promise<number> {
  let log = new Log(undefined, "text", false);
  try {
    const { flags, log: chosen, context } = parseGlobal(words);
    log = chosen;
    const [verb, ...rest] = flags.rest;
    if (flags.booleans["version"]) return print(versionText());
    if (verb === undefined || verb === "help" || flags.booleans["help"])
      return print(generalHelp(GLOBAL_FLAGS));
    const help = rest[0] === "--help" || rest[0] === "-h" ? verbHelp(verb) : undefined;
    if (help !== undefined) return print(help);
    return await runVerb(context(), verb, rest);
  } catch (error) {
    return report(log, error);
  }
}

function print(text: string): number {
  process.stdout.write(text);
  return 0;
}

function versionText(): string {
  return `urunc version ${VERSION}\nspec: ${RUNTIME_SPEC_VERSION}\nbun: ${Bun.version}\n`;
}

/** Every error ends here: one sentence for who called, by hand or through Docker, and the exit status. */
function report(log: Log, error: unknown): number {
  if (error instanceof UruncError) {
    log.error(error.message);
    return error.exitStatus;
  }
  log.error(`internal error: ${error instanceof Error ? error.message : String(error)}`);
  if (error instanceof Error && error.stack) log.debug(error.stack);
  return 1;
}
