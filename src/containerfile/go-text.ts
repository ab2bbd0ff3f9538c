/** Texts of an image's history are Go's: `fmt` of BuildKit's values. */

const ESCAPES: Readonly<Record<string, string>> = {
  '"': '\\"',
  "\\": "\\\\",
  "\x07": "\\a",
  "\b": "\\b",
  "\f": "\\f",
  "\n": "\\n",
  "\r": "\\r",
  "\t": "\\t",
  "\v": "\\v",
};

/** `%q` of a list of strings. */
export function quotedList(words: readonly string[]): string {
  return `[${words.map(quoted).join(" ")}]`;
}

/** `%v` of a list of strings. */
export function plainList(words: readonly string[]): string {
  return `[${words.join(" ")}]`;
}

function quoted(text: string): string {
  const letters = [...text].map((letter) => {
    const known = ESCAPES[letter];
    if (known !== undefined) return known;
    if (letter === " " || /[\p{L}\p{M}\p{N}\p{P}\p{S}]/u.test(letter)) return letter;
    const code = letter.codePointAt(0) as number;
    if (code < 0x80) return `\\x${code.toString(16).padStart(2, "0")}`;
    return code < 0x1_0000
      ? `\\u${code.toString(16).padStart(4, "0")}`
      : `\\U${code.toString(16).padStart(8, "0")}`;
  });
  return `"${letters.join("")}"`;
}

/** A length of time, from nanoseconds: `1m30s`, `500ms`. */
export function durationText(nanoseconds: number): string {
  if (nanoseconds === 0) return "0s";
  if (nanoseconds < 1e9) return `${nanoseconds / 1e6}ms`;
  const seconds = nanoseconds / 1e9;
  const hours = Math.floor(seconds / 3600);
  const minutes = Math.floor((seconds % 3600) / 60);
  // Of the nanoseconds: a rest of seconds has digits that were never written.
  const rest = (nanoseconds - (hours * 3600 + minutes * 60) * 1e9) / 1e9;
  return `${hours > 0 ? `${hours}h` : ""}${hours > 0 || minutes > 0 ? `${minutes}m` : ""}${rest}s`;
}
