/**
 * The words of a command line by urunc's convention: spaces part them, and `'…'` or `"…"` holds several together.
 * Nothing else has a meaning, backslashes neither.
 *
 * @returns undefined where a quote is not closed
 */
export function splitCommandLine(text: string): string[] | undefined {
  const words: string[] = [];
  let word: string | undefined;
  for (let at = 0; at < text.length; at++) {
    const letter = text[at] as string;
    if (/\s/.test(letter)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else if (letter === "'" || letter === '"') {
      const end = text.indexOf(letter, at + 1);
      if (end < 0) return undefined;
      word = (word ?? "") + text.slice(at + 1, end);
      at = end;
    } else {
      word = (word ?? "") + letter;
    }
  }
  if (word !== undefined) words.push(word);
  return words;
}

/** Words as one command line: those that have spaces, or nothing, in single quotes. */
export function joinCommandLine(words: readonly string[]): string {
  return words.map((word) => (word === "" || /\s/.test(word) ? `'${word}'` : word)).join(" ");
}
