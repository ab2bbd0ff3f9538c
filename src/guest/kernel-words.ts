/**
 * How Linux takes a command line apart: `next_arg` of its `lib/cmdline.c`, and what `init/main.c` hands on to the first
 * process. Text here is one character a byte (latin1), as to the kernel a byte of a longer character can be a blank.
 */

/** `isspace` of the kernel's `lib/ctype.c`. */
const BLANK = /[\t\n\v\f\r \xa0]/;

/** The words that the first process gets of what stands behind `--`. */
export function kernelWords(line: string): string[] {
  const words: string[] = [];
  let at = 0;
  while (at < line.length) {
    if (BLANK.test(line[at] as string)) {
      at++;
      continue;
    }
    const [word, next] = nextWord(line, at);
    words.push(word);
    at = next;
  }
  return words;
}

function nextWord(line: string, from: number): [word: string, next: number] {
  const quoted = line[from] === '"';
  const start = quoted ? from + 1 : from;
  let isOpen = quoted;
  // The first one at the very beginning is none to the kernel, which has 0 for "none yet".
  let equals = 0;
  let at = start;
  for (; at < line.length; at++) {
    const byte = line[at] as string;
    if (BLANK.test(byte) && !isOpen) break;
    if (equals === 0 && byte === "=") equals = at - start;
    if (byte === '"') isOpen = !isOpen;
  }
  const text = line.slice(start, at);
  if (equals === 0) return [quoted && text.endsWith('"') ? text.slice(0, -1) : text, at];
  const [name, value] = [text.slice(0, equals), text.slice(equals + 1)];
  const valueQuoted = value.startsWith('"');
  const closes = (valueQuoted || quoted) && text.endsWith('"');
  const end = closes ? value.slice(0, -1) : value;
  return [`${name}=${valueQuoted ? end.slice(1) : end}`, at];
}

/** The bytes of a text, a character each. */
export function asBytes(text: string): string {
  return Buffer.from(text, "utf8").toString("latin1");
}

export function hasBlank(bytes: string): boolean {
  return BLANK.test(bytes);
}
