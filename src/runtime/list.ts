import { ContainerDirectory } from "../container/directory.ts";
import { UruncError } from "../errors.ts";
import type { Context } from "./context.ts";
import { Engine, parseEngineJson } from "./engine.ts";
import { type FlagSpecs, parseFlags } from "./flags.ts";
import { asCallerKnowsIt, type EngineState } from "./state.ts";

export const LIST_FLAGS: FlagSpecs = {
  format: { kind: "string", short: "f", help: "table or json (default: table)" },
  quiet: { kind: "boolean", short: "q", help: "display only container ids" },
};

/** `urunc list`: the engine's containers below this root, with the callers' bundles. */
export function list(context: Context, words: readonly string[]): number {
  const { strings, booleans, rest } = parseFlags(words, LIST_FLAGS, "urunc list");
  if (rest.length > 0) throw new UruncError("usage", `urunc list takes no arguments, not ${rest.join(" ")}`);
  const format = strings["format"] ?? "table";
  if (format !== "table" && format !== "json") {
    throw new UruncError("usage", `invalid format option ${JSON.stringify(format)}: use table or json`);
  }
  const { status, stdout } = new Engine(context).read(["list", "--format", "json"]);
  if (status !== 0) return status;
  const states = ((parseEngineJson(stdout) ?? []) as EngineState[]).map((described) => {
    const record = new ContainerDirectory(context.root, described.id).read();
    return record === undefined ? described : asCallerKnowsIt(described, record);
  });
  if (booleans["quiet"]) process.stdout.write(states.map(({ id }) => `${id}\n`).join(""));
  else if (format === "json")
    process.stdout.write(stdout.trim() === "null" ? "null" : JSON.stringify(states));
  else process.stdout.write(table(states));
  return 0;
}

/** Columns as runc's: at least 12 wide, 3 apart. */
function table(states: readonly EngineState[]): string {
  const rows = [
    ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"],
    ...states.map(({ id, pid, status, bundle, created, owner }) => [
      id,
      String(pid),
      status,
      bundle,
      created ?? "",
      owner ?? "",
    ]),
  ];
  const widths = rows[0]?.map((_, column) =>
    Math.max(12, ...rows.map((row) => (row[column] ?? "").length + 3)),
  );
  return rows
    .map(
      (row) =>
        `${row.map((cell, column) => cell.padEnd(column < 5 ? (widths?.[column] ?? 0) : 0)).join("")}\n`,
    )
    .join("");
}
