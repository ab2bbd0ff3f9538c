import { type Position, wrongAt } from "../bunnyfile/position.ts";
import { type EscapeToken, expand } from "./expand.ts";
import type { Heredoc } from "./instruction.ts";
import { parseWordArray, splitInstruction } from "./words.ts";
import { InstructionError } from "./wrong.ts";

/** One instruction: its lines joined, without comments between them. */
export interface Line {
  text: string;
  /** Where a letter of the text stands in the file. */
  at(offset: number): Position;
  heredocs: Heredoc[];
}

export interface Lines {
  escapeToken: EscapeToken;
  lines: Line[];
  /** Each `FILE:LINE:COLUMN: sentence`. */
  warnings: string[];
}

/** BuildKit's own limit, in UTF-16 units here. */
const LONGEST_LINE = 65_535;
const DIRECTIVES = new Set(["syntax", "escape", "check"]);
/** Instructions whose files may stand in the Containerfile itself. */
const WITH_HEREDOCS = new Set(["RUN", "COPY", "ADD"]);

/**
 * Reads the instructions of a Containerfile: directives at its beginning, continued lines, comments, heredocs; as
 * BuildKit's `frontend/dockerfile/parser`.
 *
 * @throws UruncError `build-file`
 */
export function readLines(text: string, name: string): Lines {
  const reader = new LineReader(text, name);
  return reader.read();
}

/** Where a part of a joined line comes from. */
interface Piece {
  offset: number;
  at: Position;
}

class LineReader {
  readonly #name: string;
  /** Each with its end. */
  readonly #rows: string[];
  readonly #warnings: string[] = [];
  #row = 0;
  #escapeToken: EscapeToken = "\\";

  constructor(text: string, name: string) {
    this.#name = name;
    this.#rows = text.replace(/^\ufeff/, "").match(/[^\n]*\n|[^\n]+$/g) ?? [];
  }

  read(): Lines {
    this.#directives();
    const lines: Line[] = [];
    while (this.#row < this.#rows.length) {
      const line = this.#line();
      if (line !== undefined) lines.push(line);
    }
    return { escapeToken: this.#escapeToken, lines, warnings: this.#warnings };
  }

  #take(): string {
    const row = this.#rows[this.#row++] as string;
    if (row.length > LONGEST_LINE) {
      throw wrongAt(
        this.#name,
        { line: this.#row, column: 1 },
        `dockerfile line greater than max allowed size of ${LONGEST_LINE}`,
      );
    }
    return row;
  }

  /** Comments of the form `# name=value` before anything else. */
  #directives(): void {
    const seen = new Set<string>();
    for (let row = 0; ; row++) {
      const text = (this.#rows[row] ?? "").trim();
      const [, word = "", value = ""] = /^#\s*([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(.+?)\s*$/.exec(text) ?? [];
      const directive = word.toLowerCase();
      if (!DIRECTIVES.has(directive)) return;
      const at = { line: row + 1, column: 1 };
      if (seen.has(directive)) {
        throw wrongAt(this.#name, at, `only one ${directive} parser directive can be used`);
      }
      seen.add(directive);
      if (directive !== "escape") continue;
      if (value !== "\\" && value !== "`") {
        throw wrongAt(this.#name, at, `invalid escape token '${value}' does not match \` or \\`);
      }
      this.#escapeToken = value;
    }
  }

  /** The instruction that begins in this row, if one does. */
  #line(): Line | undefined {
    const start = this.#row + 1;
    const row = withoutEnd(this.#take());
    const first = row.trimStart();
    if (first === "" || first.startsWith("#")) return undefined;
    const pieces: Piece[] = [{ offset: 0, at: { line: start, column: row.length - first.length + 1 } }];
    let [text, isContinued] = this.#continued(first);
    let emptyRow: number | undefined;
    while (isContinued && this.#row < this.#rows.length) {
      const line = this.#row + 1;
      const next = withoutEnd(this.#take());
      if (next.trimStart().startsWith("#")) continue;
      if (next.trim() === "") {
        emptyRow ??= line;
        continue;
      }
      pieces.push({ offset: text.length, at: { line, column: 1 } });
      const [part, more] = this.#continued(next);
      text += part;
      isContinued = more;
    }
    if (emptyRow !== undefined) {
      this.#warnings.push(
        `${this.#name}:${emptyRow}:1: an empty line goes on with the instruction before it: remove the line, or the ` +
          `${this.#escapeToken} before it`,
      );
    }
    const at = (offset: number): Position => {
      const piece = pieces.findLast((one) => one.offset <= offset) as Piece;
      return { line: piece.at.line, column: piece.at.column + offset - piece.offset };
    };
    return { text, at, heredocs: this.#heredocs(text, at) };
  }

  #continued(row: string): [text: string, isContinued: boolean] {
    // An escape before it takes its meaning away.
    const pattern = this.#escapeToken === "\\" ? /(?<!\\)\\[ \t]*$/ : /(?<!`)`[ \t]*$/;
    const end = row.search(pattern);
    return end < 0 ? [row, false] : [row.slice(0, end), true];
  }

  #heredocs(text: string, at: (offset: number) => Position): Heredoc[] {
    if (!text.includes("<<") || !this.#takesHeredocs(text, 0)) return [];
    const heredocs: Heredoc[] = [];
    for (const word of heredocWords(text)) {
      const heredoc = parseHeredoc(word);
      if (heredoc === undefined) continue;
      const rows: string[] = [];
      let isClosed = false;
      while (!isClosed && this.#row < this.#rows.length) {
        const row = this.#take();
        const bare = withoutEnd(row);
        isClosed = (heredoc.chomp ? bare.replace(/^\t+/, "") : bare) === heredoc.name;
        if (!isClosed) rows.push(row);
      }
      if (!isClosed) {
        throw wrongAt(
          this.#name,
          at(Math.max(text.indexOf("<<"), 0)),
          `unterminated heredoc: no line after it is ${heredoc.name} alone`,
        );
      }
      heredocs.push({ ...heredoc, content: rows.join("") });
    }
    return heredocs;
  }

  #takesHeredocs(text: string, start: number): boolean {
    const { name, rest } = splitInstruction(text, start, this.#escapeToken);
    const word = name.text.toUpperCase();
    if (word === "ONBUILD" && start === 0) return this.#takesHeredocs(text, rest.offset);
    return WITH_HEREDOCS.has(word) && !Array.isArray(parseWordArray(rest.text));
  }
}

function withoutEnd(row: string): string {
  return row.replace(/[\r\n]+$/, "");
}

function heredocWords(text: string): string[] {
  try {
    return expand(text, new Map(), {
      escapeToken: "\\",
      keepQuotes: true,
      keepEscapes: true,
      keepUnset: true,
    }).words;
  } catch (error) {
    if (!(error instanceof InstructionError)) throw error;
    // A shell's line with quotes of its own kind: what is no word here is the shell's to read.
    return [];
  }
}

/** A word of the form `<<NAME`, `<<-NAME` or `<<"NAME"`; undefined for any other. */
export function parseHeredoc(word: string): Omit<Heredoc, "content"> | undefined {
  const [, dash = "", rest = ""] = /^\d*<<(-?)\s*([^<]*)$/.exec(word) ?? [];
  const [name, ...others] = nameWords(rest, false);
  if (name === undefined || others.length > 0) return undefined;
  const [raw = ""] = nameWords(rest, true);
  const quotes = (text: string) => text.split(/['"]/).length;
  return { name, chomp: dash === "-", expand: quotes(name) === quotes(raw) };
}

function nameWords(text: string, keepQuotes: boolean): string[] {
  try {
    return expand(text, new Map(), { escapeToken: "\\", keepUnset: true, keepQuotes }).words;
  } catch (error) {
    if (error instanceof InstructionError) return [];
    throw error;
  }
}

/** What `<<-` takes away: tabs that lines begin with. */
export function withoutTabs(content: string): string {
  return content.replace(/^\t+/gm, "");
}
