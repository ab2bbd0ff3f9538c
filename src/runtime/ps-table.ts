import { UruncError } from "../errors.ts";
import type { GuestProcesses } from "../guest/processes.ts";
import { COLUMNS, type Column } from "./ps-columns.ts";

/** What is to be shown of each process. */
export interface PsFormat {
  columns: Column[];
  headers: boolean;
}

const FULL = columns("user=UID", "pid", "ppid", "c", "stime", "tty", "time", "cmd");
const SIMPLE = columns("pid", "tty", "time", "comm=CMD");
const BSD = columns("pid", "tty", "stat", "bsdtime=TIME", "command");
const BSD_USER = columns(
  ...[
    "user",
    "pid",
    "pcpu",
    "pmem",
    "vsz",
    "rss",
    "tty",
    "stat",
    "bsdstart=START",
    "bsdtime=TIME",
    "command",
  ],
);

/**
 * Understands the options of ps that say how processes are shown. Those that say which are without meaning: all of the
 * container's are.
 *
 * @param words those behind the container's id; none are `-ef`, as runc has it
 * @throws UruncError `usage`: an option or a column that there is not
 */
export function parsePsOptions(words: readonly string[]): PsFormat {
  let [style, chosen, headers]: [Column[], Column[], boolean] = [
    words.length === 0 ? FULL : SIMPLE,
    [],
    true,
  ];
  for (let index = 0; index < words.length; index++) {
    const word = words[index] as string;
    if (word === "--no-headers" || word === "--no-headings") {
      headers = false;
      continue;
    }
    const bsd = !word.startsWith("-") || /^-[aux]*x/.test(word);
    const letters = word.replace(/^-/, "");
    if (letters === "" || letters.startsWith("-")) throw unknownOption(word);
    for (let at = 0; at < letters.length; at++) {
      const letter = letters.charAt(at);
      if (letter === "o") {
        const list = letters.slice(at + 1) || words[++index];
        if (list === undefined) throw new UruncError("usage", "ps: -o needs a list of columns");
        chosen = [...chosen, ...columnList(list)];
        break;
      }
      if (!(bsd ? "axuw" : "eAadfw").includes(letter)) throw unknownOption(word);
      if (bsd) style = letter === "u" || style === BSD_USER ? BSD_USER : BSD;
      else if (letter === "f") style = FULL;
    }
  }
  const columns = chosen.length > 0 ? chosen : style;
  return { columns, headers: headers && columns.some(({ header }) => header !== "") };
}

/** The table, with a newline at the end of each line. */
export function renderPs({ columns, headers }: PsFormat, all: GuestProcesses): string {
  const rows = all.processes.map((process) => columns.map(({ value }) => value(process, all)));
  if (headers) rows.unshift(columns.map(({ header }) => header));
  const widths = columns.map(({ width, header }, index) =>
    Math.max(headers ? header.length : 0, width, ...rows.map((row) => (row[index] ?? "").length)),
  );
  return rows
    .map((row) => {
      const cells = row.map((cell, index) => {
        const width = widths[index] ?? 0;
        if (columns[index]?.align === "right") return cell.padStart(width);
        return index === columns.length - 1 ? cell : cell.padEnd(width);
      });
      return `${cells.join(" ").trimEnd()}\n`;
    })
    .join("");
}

/** `NAME,NAME=HEADER…`, also with blanks, which a header may hold. */
function columnList(list: string): Column[] {
  const parts = list
    .split(",")
    .flatMap((part) => (part.includes("=") ? [part.trimStart()] : part.split(/\s+/)));
  return columns(...parts.filter((part) => part !== ""));
}

function columns(...names: string[]): Column[] {
  return names.map((written) => {
    const at = written.indexOf("=");
    const name = at < 0 ? written : written.slice(0, at);
    const column = Object.hasOwn(COLUMNS, name) ? COLUMNS[name] : undefined;
    if (column === undefined) {
      const known = Object.keys(COLUMNS).join(" ");
      throw new UruncError(
        "usage",
        `ps: there is no column ${JSON.stringify(name)} of a virtual machine: ${known}`,
      );
    }
    return at < 0 ? column : { ...column, header: written.slice(at + 1) };
  });
}

function unknownOption(word: string): UruncError {
  return new UruncError(
    "usage",
    `ps: the option ${JSON.stringify(word)} is not known for a virtual machine: use -ef, aux, ax or -o COLUMN,COLUMN`,
  );
}
