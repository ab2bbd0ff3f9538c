import { type Pattern, parsePattern, replace, trimEnd, trimStart } from "./pattern.ts";
import { InstructionError } from "./wrong.ts";

export type EscapeToken = "\\" | "`";

export interface ExpandOptions {
  /** Takes the meaning from the letter behind it. */
  escapeToken: EscapeToken;
  /** Quotes, and what they hold together, stay in the word. */
  keepQuotes?: boolean;
  /** The escape letter stays in the word. */
  keepEscapes?: boolean;
  /** Variables that are not set stay as they are written. */
  keepUnset?: boolean;
  /** Quotes are letters as others. */
  ignoreQuotes?: boolean;
}

export interface Expansion {
  /** The whole, spaces between words kept. */
  text: string;
  /** Split at spaces that are not quoted, those in values among them. */
  words: string[];
  /** Names of variables that are not set, where nothing is said for that case. */
  unset: Set<string>;
}

/** More than this no value can have: programs take 128 KiB, and values can be of values. */
const LONGEST = 1 << 20;
/** Of `${A:-${B:-…}}`. */
const DEEPEST = 100;

const SPACE = /\s/;
const LETTER = /[\p{L}\p{Nd}_]/u;
const DIGIT = /\p{Nd}/u;
/** Of the shell's special parameters, which are never set: POSIX shell 2.5.2. */
const SPECIAL = new Set("@*#?-$!0");

/**
 * Expands variables and takes quotes and escapes away, by the rules of BuildKit's `frontend/dockerfile/shell`, which are
 * those of the POSIX shell (2.6.2) without commands and arithmetic, and with `${NAME/pattern/replacement}`.
 *
 * @throws InstructionError for quotes and braces that are not closed, unknown operators, and `${NAME?message}`
 */
export function expand(
  text: string,
  variables: ReadonlyMap<string, string>,
  options: ExpandOptions,
): Expansion {
  const reader = new WordReader(text, variables, options);
  return { ...reader.read(undefined, options.keepEscapes ?? false), unset: reader.unset };
}

class WordReader {
  readonly #letters: string[];
  readonly #variables: ReadonlyMap<string, string>;
  readonly #options: ExpandOptions;
  readonly unset = new Set<string>();
  #at = 0;
  #depth = 0;

  constructor(text: string, variables: ReadonlyMap<string, string>, options: ExpandOptions) {
    this.#letters = [...text];
    this.#variables = variables;
    this.#options = options;
  }

  /** Up to a letter, which is taken too, or to the end. */
  read(stop: string | undefined, keepEscapes: boolean): { text: string; words: string[] } {
    if (++this.#depth > DEEPEST)
      throw new InstructionError(`more than ${DEEPEST} substitutions in each other`);
    const words = new WordList();
    let text = "";
    const add = (part: string, isQuoted: boolean) => {
      text += part;
      if (text.length > LONGEST) throw new InstructionError(`a value is longer than ${LONGEST >> 20} MiB`);
      words.add(part, isQuoted);
    };
    for (let letter = this.#peek(); letter !== undefined; letter = this.#peek()) {
      if (letter === stop) {
        this.#at++;
        this.#depth--;
        return { text, words: words.all() };
      }
      if (letter === "$") add(this.#dollar(), false);
      else if (letter === "<") add(this.#less(), true);
      else if (letter === "'" && !this.#options.ignoreQuotes) add(this.#singleQuoted(), true);
      else if (letter === '"' && !this.#options.ignoreQuotes) add(this.#doubleQuoted(keepEscapes), true);
      else if (letter === this.#options.escapeToken) {
        this.#at++;
        if (keepEscapes) add(letter, true);
        const next = this.#next();
        if (next !== undefined) add(next, true);
      } else {
        this.#at++;
        add(letter, false);
      }
    }
    if (stop !== undefined) {
      throw new InstructionError(`syntax error: missing '${stop}' in a substitution`);
    }
    this.#depth--;
    return { text, words: words.all() };
  }

  #peek(): string | undefined {
    return this.#letters[this.#at];
  }

  #next(): string | undefined {
    return this.#letters[this.#at++];
  }

  /** `<<` and the spaces behind it stay together with what follows: the name of a heredoc. */
  #less(): string {
    this.#at++;
    if (this.#peek() !== "<") return "<";
    this.#at++;
    let text = "<<";
    for (
      let letter = this.#peek();
      letter === " " || letter === "\t" || letter === "\r";
      letter = this.#peek()
    ) {
      text += letter;
      this.#at++;
    }
    return text;
  }

  #singleQuoted(): string {
    const end = this.#letters.indexOf("'", this.#at + 1);
    if (end < 0) {
      throw new InstructionError("unexpected end of statement while looking for matching single-quote");
    }
    const inside = this.#letters.slice(this.#at + 1, end).join("");
    this.#at = end + 1;
    return this.#options.keepQuotes ? `'${inside}'` : inside;
  }

  #doubleQuoted(keepEscapes: boolean): string {
    const quote = this.#options.keepQuotes ? '"' : "";
    let text = quote;
    this.#at++;
    for (;;) {
      const letter = this.#peek();
      if (letter === undefined) {
        throw new InstructionError("unexpected end of statement while looking for matching double-quote");
      }
      if (letter === "$") {
        text += this.#dollar();
        continue;
      }
      this.#at++;
      if (letter === '"') return text + quote;
      if (letter !== this.#options.escapeToken) {
        text += letter;
        continue;
      }
      if (keepEscapes) text += letter;
      const next = this.#peek();
      if (next === undefined) continue;
      // Before any other letter the escape is a letter itself.
      if (next === '"' || next === "$" || next === letter) {
        text += next;
        this.#at++;
      } else if (!keepEscapes) text += letter;
    }
  }

  #dollar(): string {
    this.#at++;
    if (this.#peek() !== "{") {
      const name = this.#name();
      if (name === "") return "$";
      const value = this.#needed(name);
      return value === undefined && this.#options.keepUnset ? `$${name}` : (value ?? "");
    }
    this.#at++;
    const first = this.#peek();
    if (first === undefined) throw new InstructionError("syntax error: missing '}'");
    if (first === "{" || first === "}" || first === ":") {
      throw new InstructionError("syntax error: bad substitution");
    }
    const name = this.#name();
    const sign = this.#next();
    if (sign === undefined) throw new InstructionError("syntax error: missing '}'");
    if (sign === "}") {
      const value = this.#needed(name);
      return value === undefined && this.#options.keepUnset ? `\${${name}}` : (value ?? "");
    }
    if (sign === "/") return this.#replaced(name);
    const operator = sign === ":" ? (this.#next() ?? "") : sign;
    const modifier = sign === ":" ? `:${operator}` : operator;
    const isPattern = operator === "#" || operator === "%";
    if (!["+", "-", "?", "#", "%"].includes(operator) || (sign === ":" && isPattern)) {
      throw new InstructionError(`unsupported modifier (${modifier}) in substitution`);
    }
    const word = this.read("}", isPattern).text;
    const value = isPattern ? this.#needed(name) : this.#variables.get(name);
    if (value === undefined && this.#options.keepUnset) return `\${${name}${modifier}${word}}`;
    const isSet = value !== undefined && !(sign === ":" && value === "");
    switch (operator) {
      case "-":
        return isSet ? value : word;
      case "+":
        return isSet ? word : "";
      case "?": {
        if (isSet) return value;
        const state = value === undefined ? "unset" : "empty";
        throw new InstructionError(`${name}: ${word === "" ? `is not allowed to be ${state}` : word}`);
      }
      default: {
        const isLongest = word.startsWith(operator);
        const trim = operator === "#" ? trimStart : trimEnd;
        return matching(isLongest ? word.slice(1) : word, (pattern) => trim(value ?? "", pattern, isLongest));
      }
    }
  }

  #replaced(name: string): string {
    const isAll = this.#peek() === "/";
    if (isAll) this.#at++;
    const pattern = this.read("/", true).text;
    const replacement = this.read("}", true).text;
    const value = this.#needed(name);
    if (value === undefined && this.#options.keepUnset) {
      return `\${${name}/${isAll ? "/" : ""}${pattern}/${replacement}}`;
    }
    return matching(pattern, (parsed) => replace(value ?? "", parsed, replacement, isAll));
  }

  #needed(name: string): string | undefined {
    const value = this.#variables.get(name);
    if (value === undefined) this.unset.add(name);
    return value;
  }

  #name(): string {
    const first = this.#peek();
    if (first === undefined) return "";
    if (!DIGIT.test(first) && SPECIAL.has(first)) {
      this.#at++;
      return first;
    }
    const kind = DIGIT.test(first) ? DIGIT : LETTER;
    const start = this.#at;
    while (this.#at < this.#letters.length && kind.test(this.#letters[this.#at] as string)) this.#at++;
    return this.#letters.slice(start, this.#at).join("");
  }
}

function matching(text: string, use: (pattern: Pattern) => string): string {
  try {
    return use(parsePattern(text));
  } catch (cause) {
    if (!(cause instanceof InstructionError)) throw cause;
    throw new InstructionError(`invalid pattern (${text}) in substitution: ${cause.message}`);
  }
}

/** Words as they grow. */
class WordList {
  readonly #words: string[] = [];
  #word = "";

  add(text: string, isQuoted: boolean): void {
    // Not letter by letter: values may have a million.
    for (const [index, part] of (isQuoted ? [text] : text.split(SPACE)).entries()) {
      if (index > 0) this.#end();
      this.#word += part;
    }
  }

  all(): string[] {
    this.#end();
    return this.#words;
  }

  #end(): void {
    if (this.#word !== "") this.#words.push(this.#word);
    this.#word = "";
  }
}
