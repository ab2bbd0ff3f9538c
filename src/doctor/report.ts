import { canRunMachines, type Group, type State } from "./finding.ts";

const MARKS: Record<State, string> = { ok: "ok", less: "--", not: "!!" };

/** The findings for people, a line each, and below one what to do about it. */
export function asText(groups: readonly Group[]): string {
  const width = Math.max(...groups.flatMap(({ findings }) => findings.map(({ what }) => what.length)));
  const lines = groups.flatMap(({ name, findings }) => [
    name,
    ...findings.flatMap(({ what, state, found, remedy }) => [
      `  ${MARKS[state]}  ${what.padEnd(width)}  ${found}`,
      ...(remedy === undefined ? [] : [`      ${"".padEnd(width)}  → ${remedy}`]),
    ]),
  ]);
  return `${[...lines, "", conclusion(groups)].join("\n")}\n`;
}

function conclusion(groups: readonly Group[]): string {
  if (!canRunMachines(groups)) return "Containers cannot run as machines here: see the lines with !!";
  const less = groups.some(({ findings }) => findings.some(({ state }) => state === "less"));
  return `Containers can run as machines here${less ? ", without what the lines with -- say" : ""}.`;
}

/** The findings for programs. */
export function asJson(groups: readonly Group[]): string {
  const document = { machines: canRunMachines(groups), groups };
  return `${JSON.stringify(document, undefined, 2)}\n`;
}
