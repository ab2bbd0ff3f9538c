import { parse as parseToml, TomlError } from "smol-toml";
import { UruncError } from "../errors.ts";
import { nearest } from "../nearest.ts";
import { type Config, DEFAULT_CONFIG } from "./config.ts";
import { flatten, isTable } from "./flatten.ts";
import { IGNORED_KEYS, KEYS } from "./keys.ts";
import { linesOfKeys } from "./lines.ts";

/** What a configuration file comes to. */
export interface ParsedConfig {
  config: Config;
  /** Of what is in it and has no effect: sentences for the log. */
  warnings: string[];
  /** The line of each key that it has. */
  lines(): ReadonlyMap<string, number>;
}

/** Tables that a key may be in. */
const TABLES = new Set(
  [...KEYS.keys(), ...IGNORED_KEYS.keys()].flatMap((key) => {
    const names = key.split(".");
    return names.slice(1).map((_, index) => names.slice(0, index + 1).join("."));
  }),
);

/**
 * Parses the text of a configuration file. What it does not know is a warning: the file may be of another version's.
 *
 * @throws UruncError `config-invalid`, with the line: not TOML, or a value that is not allowed
 */
export function parseConfig(source: string, path: string): ParsedConfig {
  const document = readToml(source, path);
  const config: Config = structuredClone(DEFAULT_CONFIG);
  let known: ReadonlyMap<string, number> | undefined;
  const lines = () => {
    known ??= linesOfKeys(source);
    return known;
  };
  const at = (key: string) => `${key} (line ${lines().get(key)})`;
  const wrong = (key: string, sentence: string) =>
    new UruncError(
      "config-invalid",
      `the configuration ${path}, line ${lines().get(key)}, has ${key} that ${sentence}`,
    );
  const warnings: string[] = [];
  const ignored: string[] = [];
  for (const [key, value] of flatten(document)) {
    if (TABLES.has(key)) {
      if (isTable(value)) continue;
      throw wrong(key, "must be a table");
    }
    const own = KEYS.get(key);
    const other = IGNORED_KEYS.get(key);
    const sentence = (own ?? other)?.check(value);
    if (sentence !== undefined) throw wrong(key, sentence);
    if (own !== undefined) {
      own.set(config, value as never);
      const remark = own.remark?.(value as never);
      if (remark !== undefined) ignored.push(`${at(key)} ${remark}`);
    } else if (other !== undefined) {
      if (other.agrees?.(value) !== true) ignored.push(`${at(key)}: ${other.reason}`);
    } else {
      const inside = valueAbove(key);
      if (inside !== undefined) throw wrong(key, `is in ${inside}, which is no table`);
      warnings.push(`the configuration ${path} has an unknown key ${at(key)}${suggestion(key)}`);
    }
  }
  if (ignored.length > 0) {
    warnings.push(`the configuration ${path} has what is without effect here: ${ignored.join("; ")}`);
  }
  return { config, warnings, lines };
}

function readToml(source: string, path: string): object {
  try {
    return parseToml(source);
  } catch (cause) {
    const line = cause instanceof TomlError ? cause.line : undefined;
    // Its message's further lines are an excerpt with a marker.
    const message = (cause instanceof Error ? cause.message : String(cause))
      .split("\n")[0]
      ?.replace("Invalid TOML document: ", "");
    throw new UruncError(
      "config-invalid",
      `the configuration ${path}${line === undefined ? "" : `, line ${line},`} is not TOML: ${message}`,
      { cause },
    );
  }
}

/** The key that this one is below, and which has values only. */
function valueAbove(key: string): string | undefined {
  return [...KEYS.keys(), ...IGNORED_KEYS.keys()].find((other) => key.startsWith(`${other}.`));
}

/** Known keys that are near: of the whole, or of its last name in the same table or another. */
export function suggestion(key: string, known: Iterable<string> = KEYS.keys()): string {
  const all = [...known];
  const lastName = (word: string) => word.slice(word.lastIndexOf(".") + 1);
  const meant = nearest(key, all) ?? all.find((other) => lastName(other) === lastName(key));
  return meant === undefined ? ` (known are ${all.join(", ")})` : `: did you mean ${meant}?`;
}
