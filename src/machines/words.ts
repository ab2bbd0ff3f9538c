import { UruncError } from "../errors.ts";

/** A flag as Docker has it. */
export interface WordSpec {
  kind: "boolean" | "string" | "strings";
  short?: string;
}

export type WordSpecs = Record<string, WordSpec>;

export interface Words {
  strings: Record<string, string>;
  booleans: Record<string, boolean>;
  lists: Record<string, string[]>;
  rest: string[];
}

/**
 * Parses a command line as Docker's commands do: short flags together (`-it`), with their value behind them
 * (`-p80:80`), and, where a program's own words follow, no flag behind the first word that is none.
 *
 * @param options.interspersed flags may also stand behind the first word
 * @throws UruncError `usage`, in Docker's words
 */
export function parseWords(
  words: readonly string[],
  specs: WordSpecs,
  command: string,
  { interspersed = false }: { interspersed?: boolean } = {},
): Words {
  const parsed: Words = { strings: {}, booleans: {}, lists: {}, rest: [] };
  const left = [...words];
  const fail = (sentence: string) => new UruncError("usage", `${sentence}: see "${command} --help"`);
  const set = (name: string, shown: string, inline: string | undefined) => {
    const spec = specs[name] as WordSpec;
    if (spec.kind === "boolean") {
      const value = inline === undefined ? true : BOOLEANS[inline];
      if (value === undefined) throw fail(`invalid argument ${JSON.stringify(inline)} for "${shown}" flag`);
      parsed.booleans[name] = value;
      return;
    }
    const value = inline ?? left.shift();
    if (value === undefined) throw fail(`flag needs an argument: ${shown}`);
    if (spec.kind === "string") parsed.strings[name] = value;
    else parsed.lists[name] = [...(parsed.lists[name] ?? []), value];
  };
  for (let word = left.shift(); word !== undefined; word = left.shift()) {
    if (word === "--") break;
    if (!word.startsWith("-") || word === "-") {
      parsed.rest.push(word);
      if (interspersed) continue;
      break;
    }
    if (word.startsWith("--")) {
      const [name = "", inline] = splitOnce(word.slice(2));
      if (!Object.hasOwn(specs, name)) throw fail(`unknown flag: --${name}`);
      set(name, `--${name}`, inline);
      continue;
    }
    for (let at = 1; at < word.length; at++) {
      const letter = word[at] as string;
      const name = Object.keys(specs).find((key) => specs[key]?.short === letter);
      if (name === undefined) throw fail(`unknown shorthand flag: '${letter}' in ${word}`);
      const behind = word.slice(at + 1);
      const isBoolean = specs[name]?.kind === "boolean";
      if (isBoolean && !behind.startsWith("=")) {
        set(name, `-${letter}`, undefined);
        continue;
      }
      set(name, `-${letter}, --${name}`, behind === "" ? undefined : behind.replace(/^=/, ""));
      break;
    }
  }
  parsed.rest.push(...left);
  return parsed;
}

const BOOLEANS: Partial<Record<string, boolean>> = {
  ...{ "1": true, t: true, T: true, TRUE: true, true: true, True: true },
  ...{ "0": false, f: false, F: false, FALSE: false, false: false, False: false },
};

function splitOnce(text: string): [string, string | undefined] {
  const at = text.indexOf("=");
  return at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)];
}
