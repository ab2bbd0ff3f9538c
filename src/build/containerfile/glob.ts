import { PathPattern } from "../../containerfile/path-pattern.ts";
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
 * @throws InstructionError for a pattern that is none
 */
export function filesMatching(root: Directory, path: string): Match[] {
  const names = path.split("/").filter((name) => name !== "");
  const wild = names.findIndex(isPattern);
  const first = wild < 0 ? names.length : wild;
  const plain = names.slice(0, first).map(bytesOf);
  const start = find(root, plain);
  if (start === undefined) return [];
  let found: Match[] = [{ words: plain, inode: start }];
  for (const name of names.slice(first)) {
    const pattern = new PathPattern(name, { deep: false });
    found = found.flatMap(({ words, inode }) =>
      inode.kind !== "directory"
        ? []
        : sortedNames(inode)
            .filter((child) => pattern.matches(Buffer.from(child, "latin1").toString()))
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
