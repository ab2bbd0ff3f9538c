import { UruncError } from "../errors.ts";
import { type ByteString, type Directory, type Inode, type Metadata, shown } from "../image/layers/tree.ts";

/**
 * One entry of a layer that is written. Its path is relative to the root, without `.` and `..`; empty for the root
 * itself, of which only a directory or that it is opaque is said. Parents are there in
 * lower layers, or entries before it: an entry for a directory says what that directory is from then on.
 */
export type LayerEntry = { path: ByteString } & (
  | {
      kind: "inode";
      /** The same one again is a hard link to where it was first. A file's content is in `LayerOptions.contents`. */
      inode: Inode;
    }
  | { kind: "bytes"; metadata: Metadata; bytes: Uint8Array }
  | {
      kind: "host-file";
      metadata: Metadata;
      /** A file of this system. */
      source: string;
      /** Bytes; the file has as many when it is read, or that is an error. */
      size: number;
    }
  /** The file at `path` in lower layers, or the directory with all that is in it, is there no more. */
  | { kind: "whiteout" }
  /** What lower layers have in the directory at `path` is there no more. */
  | { kind: "opaque" }
);

/** What files have that nothing describes: root's, of the time 0. */
export function plainMetadata(mode: number): Metadata {
  return { mode, uid: 0, gid: 0, mtime: { seconds: 0, nanoseconds: 0 }, xattrs: new Map() };
}

/** One whose content, if it has some, is where the content of a tree's files is. */
export type TreeEntry = Extract<LayerEntry, { kind: "inode" | "whiteout" | "opaque" }>;

/**
 * Changes a tree as a layer of these entries changes it: what a directory has is named behind it and what hides lower
 * files. Nothing outside the root is reached, and no link is followed: the entries are of the tree itself.
 *
 * @throws UruncError `internal` for an entry whose parent is no directory of the tree
 */
export function applyEntries(root: Directory, entries: Iterable<TreeEntry>): void {
  for (const entry of entries) {
    const words = entry.path === "" ? [] : entry.path.split("/");
    const name = words.pop();
    let parent: Inode | undefined = root;
    for (const word of words) parent = parent?.kind === "directory" ? parent.children.get(word) : undefined;
    if (parent?.kind !== "directory") {
      throw new UruncError("internal", `the layer's ${shown(entry.path)} is in no directory`);
    }
    const there = name === undefined ? root : parent.children.get(name);
    if (entry.kind === "opaque") {
      if (there?.kind === "directory") there.children.clear();
    } else if (entry.kind === "whiteout") {
      if (name !== undefined) parent.children.delete(name);
    } else if (entry.inode.kind !== "directory") {
      if (name !== undefined) parent.children.set(name, entry.inode);
    } else if (there?.kind === "directory") {
      const { mode, uid, gid, mtime, xattrs } = entry.inode;
      Object.assign(there, { mode, uid, gid, mtime, xattrs });
    } else if (name !== undefined) {
      parent.children.set(name, { ...entry.inode, children: new Map() });
    }
  }
}
