import { posix } from "node:path";
import { wrongAt } from "../bunnyfile/position.ts";
import { PathPattern } from "./path-pattern.ts";
import { InstructionError } from "./wrong.ts";

interface Rule {
  pattern: PathPattern;
  /** `!`: what it stands for is not ignored after all. */
  isException: boolean;
}

/** What was found out about a directory, for what is in it. */
interface Verdict {
  isIgnored: boolean;
  /** For each rule whether it stands for the path, or a directory that the path is in. */
  matches: readonly boolean[];
}

/**
 * What of a context is left out, by the rules of `.dockerignore`: the last rule that stands for a path, or for a
 * directory that it is in, counts. As moby's `patternmatcher` has it, where BuildKit walks a context.
 */
export class IgnoreRules {
  readonly #rules: readonly Rule[];
  readonly #directories = new Map<string, Verdict>();

  constructor(rules: readonly Rule[]) {
    this.#rules = rules;
  }

  /** @param path relative to the context, with slashes between, and clean */
  isIgnored(path: string): boolean {
    return this.#rules.length > 0 && path !== "" && this.#verdict(path).isIgnored;
  }

  /** Whether something in an ignored directory may not be ignored, so that one has to look. */
  hasExceptionsIn(directory: string): boolean {
    const exceptions = this.#rules.filter(({ isException }) => isException);
    return exceptions.some(({ pattern: { text } }) => {
      const plain = text.replace(/(?:\/\*\*?)+$/, "");
      return /[*?[\\]/.test(plain) || `${plain}/`.startsWith(`${directory}/`);
    });
  }

  #verdict(path: string): Verdict {
    const parent = posix.dirname(path);
    const above = parent === "." || parent === path ? undefined : this.#directory(parent);
    let isIgnored = false;
    const matches = this.#rules.map(({ pattern, isException }, index) => {
      // A rule that would change nothing is not looked at.
      const isMatch = above?.matches[index] === true || (isException === isIgnored && pattern.matches(path));
      if (isMatch) isIgnored = !isException;
      return isMatch;
    });
    return { isIgnored, matches };
  }

  #directory(path: string): Verdict {
    const known = this.#directories.get(path);
    if (known !== undefined) return known;
    const verdict = this.#verdict(path);
    this.#directories.set(path, verdict);
    return verdict;
  }
}

/**
 * Parses the text of a `.dockerignore`.
 *
 * @param name of the file, for sentences
 * @throws UruncError `build-file` at a pattern that is none
 */
export function parseIgnoreFile(text: string, name: string): IgnoreRules {
  const rules: Rule[] = [];
  for (const [index, line] of text
    .replace(/^\ufeff/, "")
    .split("\n")
    .entries()) {
    if (line.startsWith("#")) continue;
    const word = line.trim();
    const isException = word.startsWith("!");
    const written = isException ? word.slice(1).trim() : word;
    try {
      const rule = ruleOf(isException ? `!${withoutRoot(written)}` : withoutRoot(written));
      if (rule !== undefined) rules.push(rule);
    } catch (error) {
      if (!(error instanceof InstructionError)) throw error;
      throw wrongAt(name, { line: index + 1, column: 1 }, `${error.message}: ${JSON.stringify(word)}`, error);
    }
  }
  return new IgnoreRules(rules);
}

/**
 * The rules of patterns, as `COPY --exclude` has them.
 *
 * @throws InstructionError for a pattern that is none
 */
export function ignoreRules(patterns: readonly string[]): IgnoreRules {
  return new IgnoreRules(patterns.flatMap((pattern) => ruleOf(pattern) ?? []));
}

function withoutRoot(pattern: string): string {
  const clean = pattern === "" ? "" : cleaned(pattern);
  return clean.length > 1 ? clean.replace(/^\//, "") : clean;
}

function ruleOf(pattern: string): Rule | undefined {
  const word = pattern.trim();
  if (word === "") return undefined;
  if (word === "!") throw new InstructionError('illegal exclusion pattern: "!"');
  const isException = word.startsWith("!");
  return { pattern: new PathPattern(cleaned(isException ? word.slice(1) : word)), isException };
}

/** As Go's `filepath.Clean`. */
function cleaned(path: string): string {
  const clean = posix.normalize(path);
  return clean.length > 1 ? clean.replace(/\/$/, "") : clean;
}
