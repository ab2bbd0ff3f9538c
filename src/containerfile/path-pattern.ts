import { InstructionError } from "./wrong.ts";

/**
 * A path's pattern by the rules of moby's `patternmatcher`: Go's `filepath.Match`, and `**`, which is any number of
 * directories. A `**` at the beginning, with nothing but letters behind it, stands for letters of a name, too.
 */
export class PathPattern {
  readonly text: string;
  readonly #parts: readonly Part[];

  /**
   * @param deep false: `**` is nothing but `*` twice, as Go's `filepath.Match` itself has it
   * @throws InstructionError for brackets that are not closed, and a backslash at the end
   */
  constructor(text: string, { deep = true }: { deep?: boolean } = {}) {
    this.text = text;
    this.#parts = parseParts(text, deep);
  }

  /** Whether it stands for the whole path. Time grows with the product of both lengths, whatever the pattern. */
  matches(path: string): boolean {
    const parts = this.#parts;
    let positions = reached(parts, [0]);
    for (const letter of path) {
      if (positions.size === 0) return false;
      const next: number[] = [];
      for (const position of positions) {
        const part = parts[position];
        if (part === undefined) continue;
        if (part.stays(letter)) next.push(position);
        if (part.takes(letter)) next.push(position + 1);
      }
      positions = reached(parts, next);
    }
    return positions.has(parts.length);
  }
}

/** A place of a pattern, and what may stand there. */
interface Part {
  /** The letter is of this part, which goes on. */
  stays(letter: string): boolean;
  /** The letter is of this part, which ends with it. */
  takes(letter: string): boolean;
  /** How many parts may be left out from here on: it may stand for nothing. */
  skips: number;
}

const never = () => false;
const always = () => true;
const inName = (letter: string) => letter !== "/";

const MANY: Part = { stays: inName, takes: never, skips: 1 };
const ANY: Part = { stays: never, takes: inName, skips: 0 };
const ALL: Part = { stays: always, takes: never, skips: 1 };
/** Directories, each with its slash. */
const DIRECTORIES: readonly Part[] = [
  { stays: never, takes: never, skips: 2 },
  { stays: always, takes: (letter) => letter === "/", skips: 0 },
];

function reached(parts: readonly Part[], positions: readonly number[]): Set<number> {
  const all = new Set(positions);
  for (const position of all) {
    const part = parts[position];
    // What may be left out may also be begun.
    for (let skipped = 1; part !== undefined && skipped <= part.skips; skipped++) all.add(position + skipped);
  }
  return all;
}

function parseParts(text: string, deep: boolean): Part[] {
  const letters = [...text];
  const parts: Part[] = [];
  const isPlainBehind = !/[*?[\]\\]/.test(text.slice(2));
  for (let at = 0; at < letters.length; at++) {
    const letter = letters[at] as string;
    if (deep && letter === "*" && letters[at + 1] === "*") {
      const isStart = at === 0;
      at++;
      const hasSlash = letters[at + 1] === "/";
      if (hasSlash) at++;
      const isEnd = at + 1 === letters.length;
      parts.push(...(isEnd || (isStart && !hasSlash && isPlainBehind) ? [ALL] : DIRECTORIES));
    } else if (letter === "*") parts.push(MANY);
    else if (letter === "?") parts.push(ANY);
    else if (letter === "[") {
      const { part, end } = parseClass(letters, at + 1);
      parts.push(part);
      at = end;
    } else if (letter === "\\") {
      const next = letters[++at];
      if (next === undefined) throw badPattern();
      parts.push(one(next));
    } else parts.push(one(letter));
  }
  return parts;
}

function one(letter: string): Part {
  return { stays: never, takes: (other) => other === letter, skips: 0 };
}

/** `[a-z]`, `[^a-z]`: a letter, a slash too. */
function parseClass(letters: readonly string[], start: number): { part: Part; end: number } {
  let at = start;
  const isNot = letters[at] === "^";
  if (isNot) at++;
  const next = () => {
    const letter = letters[at++];
    if (letter !== "\\") return letter;
    return letters[at++];
  };
  const ranges: [from: string, to: string][] = [];
  while (letters[at] !== "]" || ranges.length === 0) {
    if (letters[at] === "-" || letters[at] === "]") throw badPattern();
    const from = next();
    let to = from;
    if (letters[at] === "-") {
      at++;
      to = letters[at] === "]" ? undefined : next();
    }
    if (from === undefined || to === undefined) throw badPattern();
    ranges.push([from, to]);
  }
  const isIn = (letter: string) => {
    const code = letter.codePointAt(0) as number;
    return ranges.some(
      ([from, to]) => (from.codePointAt(0) as number) <= code && code <= (to.codePointAt(0) as number),
    );
  };
  return { part: { stays: never, takes: (letter) => isIn(letter) !== isNot, skips: 0 }, end: at };
}

function badPattern(): InstructionError {
  return new InstructionError("syntax error in pattern");
}
