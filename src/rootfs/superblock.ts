import { closeSync, openSync, readSync } from "node:fs";

/** Bytes that must be read of a file for `fileSystemOf`. */
export const SUPERBLOCK_END = 2048;

/** Offsets in the superblock, which begins at 1024, of what is always the same. */
const EROFS_MAGIC = { at: 1024, value: 0xe0f5e1e2 };
const EXT_MAGIC = { at: 1024 + 56, value: 0xef53 };

/**
 * The file system that begins with these bytes; undefined: none that a guest mounts. ext2 and ext3 are ext4's, whose
 * driver mounts them.
 */
export function fileSystemOf(start: Buffer): "erofs" | "ext4" | undefined {
  if (start.length < SUPERBLOCK_END) return undefined;
  if (start.readUInt32LE(EROFS_MAGIC.at) === EROFS_MAGIC.value) return "erofs";
  if (start.readUInt16LE(EXT_MAGIC.at) === EXT_MAGIC.value) return "ext4";
  return undefined;
}

/** The same of a file's first bytes. */
export function fileSystemIn(path: string): "erofs" | "ext4" | undefined {
  const file = openSync(path, "r");
  try {
    const start = Buffer.alloc(SUPERBLOCK_END);
    return fileSystemOf(start.subarray(0, readSync(file, start, 0, SUPERBLOCK_END, 0)));
  } finally {
    closeSync(file);
  }
}
