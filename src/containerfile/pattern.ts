import { InstructionError } from "./wrong.ts";

/**
 * A pattern of `${NAME#pattern}` and its like: POSIX shell's, without brackets, as BuildKit has it. Neither `*` nor `?`
 * stands for the end of a line.
 */
export interface Pattern {
  readonly parts: readonly PatternPart[];
}

type PatternPart = { kind: "letter"; letter: string } | { kind: "any" } | { kind: "many" };

/** Letters of a value that patterns are looked for in: the time grows with their square. */
const MOST = 8192;

/** @throws InstructionError for a backslash before anything but `*`, `?`, `\`, `}` and `/` */
export function parsePattern(text: string): Pattern {
  const parts: PatternPart[] = [];
  const letters = [...text];
  for (let at = 0; at < letters.length; at++) {
    const letter = letters[at] as string;
    if (letter === "*") parts.push({ kind: "many" });
    else if (letter === "?") parts.push({ kind: "any" });
    else if (letter === "\\") {
      const next = letters[at + 1];
      // Those two end the pattern in `${…}`, so that they are written with a backslash there.
      if (next === "}" || next === "/") continue;
      if (next !== "*" && next !== "?" && next !== "\\")
        throw new InstructionError(`invalid escape '\\${next ?? ""}'`);
      parts.push({ kind: "letter", letter: next });
      at++;
    } else parts.push({ kind: "letter", letter });
  }
  return { parts };
}

/**
 * The value without the shortest or the longest beginning that the pattern stands for.
 *
 * @throws InstructionError for a value that is too long for patterns
 */
export function trimStart(value: string, pattern: Pattern, longest: boolean): string {
  const letters = lettersOf(value);
  const length = matchLength(pattern.parts, letters, 0, longest);
  return length === undefined ? value : letters.slice(length).join("");
}

/** The value without the shortest or the longest end that the pattern stands for. */
export function trimEnd(value: string, pattern: Pattern, longest: boolean): string {
  const letters = lettersOf(value).reverse();
  const length = matchLength([...pattern.parts].reverse(), letters, 0, longest);
  return length === undefined ? value : letters.slice(length).reverse().join("");
}

/** The value with the first of what the pattern stands for replaced, or with all. Each is as long as can be. */
export function replace(value: string, pattern: Pattern, replacement: string, all: boolean): string {
  const letters = lettersOf(value);
  const out: string[] = [];
  let end = -1;
  let at = 0;
  while (at <= letters.length) {
    const length = matchLength(pattern.parts, letters, at, true);
    // Nothing, right behind what was replaced, is not replaced again.
    if (length === undefined || (length === 0 && at === end)) {
      out.push(letters[at++] ?? "");
      continue;
    }
    out.push(replacement);
    end = at + length;
    if (!all) {
      at = end;
      break;
    }
    if (length === 0) out.push(letters[at] ?? "");
    at += Math.max(length, 1);
  }
  return out.join("") + letters.slice(at).join("");
}

function lettersOf(value: string): string[] {
  const letters = [...value];
  if (letters.length > MOST) throw new InstructionError(`its value is longer than ${MOST} letters`);
  return letters;
}

/**
 * How many letters the pattern stands for from a place on, by all its positions at once: time grows with the product of
 * both lengths, whatever the pattern.
 */
function matchLength(
  parts: readonly PatternPart[],
  letters: readonly string[],
  start: number,
  longest: boolean,
): number | undefined {
  let found: number | undefined;
  let positions = withSkipped(parts, new Set([0]));
  for (let at = start; ; at++) {
    if (positions.has(parts.length)) {
      found = at - start;
      if (!longest) return found;
    }
    const letter = letters[at];
    if (letter === undefined || positions.size === 0) return found;
    const next = new Set<number>();
    for (const position of positions) {
      const part = parts[position];
      if (part?.kind === "letter" ? part.letter === letter : part?.kind === "any" && letter !== "\n") {
        next.add(position + 1);
      } else if (part?.kind === "many" && letter !== "\n") next.add(position);
    }
    positions = withSkipped(parts, next);
  }
}

/** `*` may stand for nothing. */
function withSkipped(parts: readonly PatternPart[], positions: Set<number>): Set<number> {
  for (const position of positions) {
    if (parts[position]?.kind === "many") positions.add(position + 1);
  }
  return positions;
}
