import { UruncError } from "../errors.ts";
import { listMachines } from "../machines/catalog.ts";
import { listed, table } from "../machines/listing.ts";
import { parseWords } from "../machines/words.ts";
import { noArguments, sweptPlaces } from "./machine-command.ts";

const HELP = `bunny ps - lists machines

Usage: bunny ps [flags]

Flags:
  -a, --all                those that have ended too
  -q, --quiet              their ids alone
      --no-trunc           ids and commands whole
      --format json        a JSON object for each, by Docker's names
      --help               show help
`;

/** `bunny ps`. */
export async function ps(words: readonly string[]): Promise<number> {
  const { booleans, strings, rest } = parseWords(
    words,
    {
      all: { kind: "boolean", short: "a" },
      quiet: { kind: "boolean", short: "q" },
      "no-trunc": { kind: "boolean" },
      format: { kind: "string" },
      help: { kind: "boolean" },
    },
    "bunny ps",
    { interspersed: true },
  );
  if (booleans["help"]) {
    process.stdout.write(HELP);
    return 0;
  }
  noArguments(rest, "bunny ps");
  const format = strings["format"] ?? "table";
  if (format !== "json" && format !== "table") {
    throw new UruncError("usage", `bunny ps: --format is table or json, not ${JSON.stringify(format)}`);
  }
  const places = await sweptPlaces();
  const now = Date.now();
  const rows = listMachines(places)
    .map((machine) => listed(machine.record, machine.state(), booleans["no-trunc"] === true, now))
    .filter(({ State }) => booleans["all"] || State === "running");
  if (booleans["quiet"]) process.stdout.write(rows.map(({ ID }) => `${ID}\n`).join(""));
  else if (format === "json") process.stdout.write(rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
  else process.stdout.write(table(rows));
  return 0;
}
