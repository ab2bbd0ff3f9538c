import type { ByteString, Inode, Metadata } from "../image/layers/tree.ts";

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
