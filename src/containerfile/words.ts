import type { EscapeToken } from "./expand.ts";

/** A word as it is written, and where it begins in its line. */
export interface Word {
  text: string;
  /** UTF-16 units from the line's beginning. */
  offset: number;
}

/** What BuildKit splits instructions at. */
const BLANKS = /[\t\v\f\r ]+/g;

/** An instruction's parts, from its line. */
export interface SplitLine {
  name: Word;
  /** Words before the arguments that begin with `--`, quotes and escapes taken away; a lone `--` ends them. */
  flags: Word[];
  /** What follows, without blanks around it. */
  rest: Word;
}

/** Splits a line as BuildKit's `parser/split_command.go` does. */
export function splitInstruction(line: string, start: number, escapeToken: EscapeToken): SplitLine {
  const begin = start + (line.slice(start).length - line.slice(start).trimStart().length);
  const end = line.trimEnd().length;
  const name = /^[^\t\v\f\r ]*/.exec(line.slice(begin, end))?.[0] ?? "";
  const flags: Word[] = [];
  let at = begin + name.length;
  for (;;) {
    while (at < end && /\s/.test(line[at] as string)) at++;
    if (line[at] !== "-" || line[at + 1] !== "-" || at + 1 >= end) break;
    const flag = readFlag(line, at, end, escapeToken);
    at = flag.end;
    if (flag.text === "--") {
      while (at < end && /\s/.test(line[at] as string)) at++;
      break;
    }
    flags.push({ text: flag.text, offset: flag.offset });
  }
  return { name: { text: name, offset: begin }, flags, rest: { text: line.slice(at, end), offset: at } };
}

function readFlag(line: string, start: number, end: number, escapeToken: EscapeToken) {
  let text = "";
  let quote: string | undefined;
  let at = start;
  for (; at < end; at++) {
    const letter = line[at] as string;
    if (quote === undefined && /\s/.test(letter)) break;
    if (letter === quote) quote = undefined;
    else if (quote === undefined && (letter === "'" || letter === '"')) quote = letter;
    else if (letter === escapeToken) text += line[++at] ?? "";
    else text += letter;
  }
  return { text, offset: start, end: at };
}

/** Words between blanks; quotes have no meaning. */
export function splitBlanks({ text, offset }: Word): Word[] {
  if (text === "") return [];
  const words: Word[] = [];
  let from = 0;
  for (const match of text.matchAll(BLANKS)) {
    words.push({ text: text.slice(from, match.index), offset: offset + from });
    from = match.index + match[0].length;
  }
  words.push({ text: text.slice(from), offset: offset + from });
  return words;
}

/** Words between spaces, where quotes and escapes hold words together, and stay in them. */
export function splitQuoted({ text, offset }: Word, escapeToken: EscapeToken): Word[] {
  const words: Word[] = [];
  let word: Word | undefined;
  let quote: string | undefined;
  for (let at = 0; at < text.length; at++) {
    const letter = text[at] as string;
    if (quote === undefined && /\s/.test(letter)) {
      if (word !== undefined) words.push(word);
      word = undefined;
      continue;
    }
    word ??= { text: "", offset: offset + at };
    if (letter === escapeToken && quote !== "'") {
      // At the end of the line it means nothing.
      if (at + 1 === text.length) break;
      word.text += letter + (text[++at] as string);
      continue;
    }
    if (letter === quote) quote = undefined;
    else if (quote === undefined && (letter === "'" || letter === '"')) quote = letter;
    word.text += letter;
  }
  if (word !== undefined && word.text !== "") words.push(word);
  return words;
}

/**
 * Words of a JSON array.
 *
 * @returns undefined for what is none, which is a line for the shell then; `mixed` for an array with other values
 */
export function parseWordArray(text: string): string[] | "mixed" | undefined {
  if (!text.trimStart().startsWith("[")) return undefined;
  let values: unknown;
  try {
    values = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!Array.isArray(values)) return undefined;
  return values.every((value): value is string => typeof value === "string") ? values : "mixed";
}
