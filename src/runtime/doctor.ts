import { canRunMachines } from "../doctor/finding.ts";
import { asJson, asText } from "../doctor/report.ts";
import { UruncError } from "../errors.ts";
import type { Context } from "./context.ts";
import { type FlagSpecs, parseFlags } from "./flags.ts";

export const DOCTOR_FLAGS: FlagSpecs = {
  json: { kind: "boolean", help: "for programs" },
};

/** `urunc doctor`: what this host can do, and what to install. */
export async function doctor(context: Context, words: readonly string[]): Promise<number> {
  const { booleans, rest } = parseFlags(words, DOCTOR_FLAGS, "urunc doctor");
  if (rest.length > 0)
    throw new UruncError("usage", "urunc doctor takes no argument: see urunc doctor --help");
  // Looked at by hand only: no other call shall load it.
  const { examineHost } = await import("../doctor/examine.ts");
  const groups = await examineHost(context.config, context.configWarnings);
  process.stdout.write(booleans["json"] ? asJson(groups) : asText(groups));
  return canRunMachines(groups) ? 0 : 1;
}
