import { UruncError } from "../errors.ts";

/** A flag's kind: `boolean` takes a value only behind `=`; `strings` may be repeated. */
export interface FlagSpec {
  kind: "boolean" | "string" | "strings";
  /** Another name, without dashes. */
  short?: string;
  /** What help shows. */
  help: string;
}

export type FlagSpecs = Record<string, FlagSpec>;

export interface ParsedFlags {
  strings: Record<string, string>;
  booleans: Record<string, boolean>;
  lists: Record<string, string[]>;
  /** From the first word that is no flag, or behind `--`. */
  rest: string[];
}

/**
 * Parses flags as runc's command line does: `--name value`, `--name=value`, one or two dashes, and nothing after
 * the first word that is no flag.
 *
 * @param where for the sentence, as `urunc create`
 * @throws UruncError `usage`
 */
export function parseFlags(words: readonly string[], specs: FlagSpecs, where: string): ParsedFlags {
  const parsed: ParsedFlags = { strings: {}, booleans: {}, lists: {}, rest: [] };
  let index = 0;
  while (index < words.length) {
    const word = words[index] as string;
    if (word === "--") {
      index++;
      break;
    }
    if (!word.startsWith("-") || word === "-") break;
    index++;
    const [written, inline] = splitOnce(word.replace(/^--?/, ""));
    const name = Object.keys(specs).find((key) => key === written || specs[key]?.short === written);
    const spec = name === undefined ? undefined : specs[name];
    if (name === undefined || spec === undefined) {
      throw new UruncError("usage", `${where} has no flag ${word}: see "${where} --help"`);
    }
    if (spec.kind === "boolean") {
      if (inline !== undefined && inline !== "true" && inline !== "false") {
        throw new UruncError("usage", `${where}: --${name} is true or false, not ${JSON.stringify(inline)}`);
      }
      parsed.booleans[name] = inline !== "false";
      continue;
    }
    const value = inline ?? words[index++];
    if (value === undefined) throw new UruncError("usage", `${where}: --${name} needs a value`);
    if (spec.kind === "string") parsed.strings[name] = value;
    else parsed.lists[name] = [...(parsed.lists[name] ?? []), value];
  }
  parsed.rest = words.slice(index);
  return parsed;
}

function splitOnce(word: string): [string, string | undefined] {
  const at = word.indexOf("=");
  return at < 0 ? [word, undefined] : [word.slice(0, at), word.slice(at + 1)];
}
