import { find } from "../../image/layers/lookup.ts";
import {
  type ByteString,
  bytesOf,
  type Directory,
  type Inode,
  sortedNames,
} from "../../image/layers/tree.ts";

/** A file that a source of COPY means. */
export interface Match {
  /** The names of its path, as the tree has them. */
  words: readonly ByteString[];
  inode: Inode;
}

/**
 * The files of a tree that a pattern of Go's `filepath.Match` stands for, in the order of their names. Links are followed
 * before the first name with a wildcard, and at the end.
 *
 * @param path relative, without `.` and `..`
 * @throws SyntaxError for a pattern that is none
 */
export function filesMatching(root: Directory, path: string): Match[] {
  const names = path.split("/").filter((name) => name !== "");
  const pattern = names.findIndex(isPattern);
  const first = pattern < 0 ? names.length : pattern;
  const plain = names.slice(0, first).map(bytesOf);
  const start = find(root, plain);
  if (start === undefined) return [];
  let found: Match[] = [{ words: plain, inode: start }];
  for (const name of names.slice(first)) {
    const test = matcherOf(name);
    found = found.flatMap(({ words, inode }) =>
      inode.kind !== "directory"
        ? []
        : sortedNames(inode)
            .filter((child) => test(Buffer.from(child, "latin1").toString()))
            .map((child) => ({ words: [...words, child], inode: inode.children.get(child) as Inode })),
    );
  }
  return found.flatMap(({ words }) => {
    const inode = find(root, words);
    return inode === undefined ? [] : [{ words, inode }];
  });
}

function isPattern(name: string): boolean {
  return /[*?[\\]/.test(name);
}

/** A name of a pattern as a regular expression: `*`, `?`, `[a-z]`, `[^a-z]`, and `\` before a letter that is meant. */
function matcherOf(name: string): (text: string) => boolean {
  let source = "";
  const letters = [...name];
  const literal = (letter: string) => letter.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&");
  for (let at = 0; at < letters.length; at++) {
    const letter = letters[at] as string;
    if (letter === "*") source += ".*";
    else if (letter === "?") source += ".";
    else if (letter === "\\") source += literal(escaped(letters, ++at, name));
    else if (letter === "[") {
      const isNegated = letters[at + 1] === "^";
      if (isNegated) at++;
      let set = "";
      for (at++; letters[at] !== "]" || set === ""; at++) {
        const member = letters[at];
        if (member === undefined) throw new SyntaxError(`the pattern ${name} has a [ without its ]`);
        if (member === "-" && set !== "" && letters[at + 1] !== "]") set += "-";
        else set += (member === "\\" ? escaped(letters, ++at, name) : member).replace(/[\\\]^-]/, "\\$&");
      }
      source += `[${isNegated ? "^" : ""}${set}]`;
    } else source += literal(letter);
  }
  const expression = new RegExp(`^${source}$`, "su");
  return (text) => expression.test(text);
}

function escaped(letters: readonly string[], at: number, name: string): string {
  const letter = letters[at];
  if (letter === undefined) throw new SyntaxError(`the pattern ${name} ends with a backslash`);
  return letter;
}
