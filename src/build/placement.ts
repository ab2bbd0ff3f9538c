import { UruncError } from "../errors.ts";
import { find, makeDirectory } from "../image/layers/lookup.ts";
import { type ByteString, type Directory, type Inode, placesOf, shown } from "../image/layers/tree.ts";
import type { LayerEntry } from "./entry.ts";

/**
 * Puts a file, or what a directory has, into a tree, as `COPY` of a Containerfile does: parents that are missing are
 * made, a file whose destination is a directory goes into it, what a directory has is merged into the destination.
 * Links on the way are followed inside the tree.
 *
 * @param name of the file, where the destination is a directory
 * @param destination absolute; with a slash at its end it is a directory
 * @throws UruncError `build` where a file would take the place of a directory, or the other way round
 */
export function place(root: Directory, inode: Inode, name: ByteString, destination: ByteString): void {
  const words = destination.split("/").filter((word) => word !== "");
  if (inode.kind === "directory") {
    const there = find(root, words);
    const { directory } = makeDirectory(root, words, destination);
    if (there === undefined) describe(directory, inode);
    merge(directory, inode, destination);
    return;
  }
  const isInto = destination.endsWith("/") || find(root, words)?.kind === "directory";
  const last = isInto ? name : (words.pop() as ByteString);
  const { directory } = makeDirectory(root, words, destination);
  put(directory, last, inode, destination);
}

function put(directory: Directory, name: ByteString, inode: Inode, where: ByteString): void {
  if (directory.children.get(name)?.kind === "directory") {
    throw new UruncError(
      "build",
      `${shown(where)} is a directory of the image, and a file is to be put there`,
    );
  }
  directory.children.set(name, inode);
}

function merge(into: Directory, from: Directory, where: ByteString): void {
  const rest = [{ into, from, where }];
  for (let next = rest.pop(); next !== undefined; next = rest.pop()) {
    for (const [name, child] of next.from.children) {
      const at = `${next.where.replace(/\/$/, "")}/${name}`;
      const there = next.into.children.get(name);
      if (child.kind !== "directory") put(next.into, name, child, at);
      else if (there === undefined) {
        // A directory of its own: the source may be used again.
        const copy: Directory = { ...child, children: new Map() };
        next.into.children.set(name, copy);
        rest.push({ into: copy, from: child, where: at });
      } else if (there.kind === "directory") rest.push({ into: there, from: child, where: at });
      else
        throw new UruncError(
          "build",
          `${shown(at)} is a file of the image, and a directory is to be put there`,
        );
    }
  }
}

function describe(directory: Directory, { mode, uid, gid, mtime, xattrs }: Directory): void {
  Object.assign(directory, { mode, uid, gid, mtime, xattrs });
}

/** The files of a tree, to tell later what was put into it. */
export function inodesOf(root: Directory): ReadonlySet<Inode> {
  return new Set(placesOf(root).map(({ inode }) => inode));
}

/** What was put into a tree since, as a layer's entries: parents first. */
export function addedTo(root: Directory, before: ReadonlySet<Inode>): LayerEntry[] {
  return placesOf(root)
    .filter(({ inode }) => !before.has(inode))
    .map(({ path, inode }): LayerEntry => ({ kind: "inode", path, inode }));
}
