import type { IgnoreRules } from "../../containerfile/ignore.ts";
import { type ByteString, type Directory, type Inode, sortedNames } from "../../image/layers/tree.ts";

/**
 * Copies a file, or a directory with all that is in it; two names of one file stay that.
 *
 * @param changed makes the copy of one file; a directory's has nothing in it
 * @param excludes what of a directory is left out, by paths below it
 */
export function copyTree(top: Inode, changed: (original: Inode) => Inode, excludes?: IgnoreRules): Inode {
  const copies = new Map<Inode, Inode>();
  const copyOf = (original: Inode) => {
    let copy = copies.get(original);
    if (copy === undefined) {
      copy = changed(original);
      copies.set(original, copy);
    }
    return copy;
  };
  const root = copyOf(top);
  const conditional: { parent: Directory; name: ByteString; directory: Directory }[] = [];
  // Not by recursion: directories may nest deeper than a stack is.
  const rest: { from: Directory; into: Directory; path: string }[] = [];
  const enter = (from: Inode, into: Inode, path: string) => {
    if (from.kind === "directory" && into.kind === "directory") rest.push({ from, into, path });
  };
  enter(top, root, "");
  for (let next = rest.pop(); next !== undefined; next = rest.pop()) {
    for (const name of sortedNames(next.from)) {
      const original = next.from.children.get(name) as Inode;
      const path = `${next.path}${Buffer.from(name, "latin1").toString()}`;
      const isExcluded = excludes?.isIgnored(path) === true;
      if (isExcluded && (original.kind !== "directory" || !excludes?.hasExceptionsIn(path))) continue;
      const copy = copyOf(original);
      next.into.children.set(name, copy);
      if (isExcluded) conditional.push({ parent: next.into, name, directory: copy as Directory });
      enter(original, copy, `${path}/`);
    }
  }
  // It is there if something in it is; those inside of others came later.
  for (const { parent, name, directory } of conditional.reverse()) {
    if (directory.children.size === 0) parent.children.delete(name);
  }
  return root;
}
