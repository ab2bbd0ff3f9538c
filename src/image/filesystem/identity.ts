import { createHash } from "node:crypto";
import { type Directory, placesOf } from "../layers/tree.ts";

/**
 * A UUID of a tree's file system, made of names and metadata: equal trees have equal ones, and file systems of two
 * images that a machine has at once do not. RFC 9562, version 8.
 */
export function uuidOfTree(tree: Directory): Uint8Array {
  const hash = createHash("sha256");
  for (const { path, inode, links } of placesOf(tree)) {
    const { kind, mode, uid, gid, mtime } = inode;
    const size = inode.kind === "file" ? inode.content.size : 0;
    hash.update(JSON.stringify([path, kind, mode, uid, gid, mtime.seconds, mtime.nanoseconds, size, links]));
  }
  const uuid = hash.digest().subarray(0, 16);
  uuid[6] = ((uuid[6] as number) & 0x0f) | 0x80;
  uuid[8] = ((uuid[8] as number) & 0x3f) | 0x80;
  return uuid;
}
