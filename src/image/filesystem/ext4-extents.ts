import { BLOCKS_LENGTH } from "./ext4-format.ts";
import { EXT4_BLOCK } from "./ext4-geometry.ts";

/**
 * Some blocks of a file in a row: where in the file and where in the file system, all in blocks. A group's own blocks
 * end every row, so that none is longer than the format's 32,768.
 */
export interface FileExtent {
  at: number;
  block: number;
  count: number;
}

const ENTRY = 12;
const MAGIC = 0xf30a;
/** How many entries an inode has room for. */
export const IN_INODE_EXTENTS = (BLOCKS_LENGTH - ENTRY) / ENTRY;
const IN_BLOCK = Math.floor((EXT4_BLOCK - ENTRY) / ENTRY);

/** How many blocks the tree of some extents takes beside the inode. */
export function extentBlocks(count: number): number {
  let blocks = 0;
  for (let level = count; level > IN_INODE_EXTENTS; ) {
    level = Math.ceil(level / IN_BLOCK);
    blocks += level;
  }
  return blocks;
}

/**
 * A file's tree of extents ("Documentation/filesystems/ext4/ifork.rst"): the 60 bytes in its inode, and what its
 * blocks have.
 *
 * @param extents in the order of the file
 * @param blocks as many as {@link extentBlocks} says: the tree's own
 */
export function encodeExtents(
  extents: readonly FileExtent[],
  blocks: readonly number[],
): { root: Buffer; nodes: { block: number; bytes: Buffer }[] } {
  const nodes: { block: number; bytes: Buffer }[] = [];
  let level: Entry[] = extents.map(({ at, block, count }) => {
    const bytes = Buffer.alloc(ENTRY);
    bytes.writeUInt32LE(at, 0);
    bytes.writeUInt16LE(count, 4);
    bytes.writeUInt32LE(block, 8);
    return { at, bytes };
  });
  let depth = 0;
  let next = 0;
  while (level.length > IN_INODE_EXTENTS) {
    const above: Entry[] = [];
    for (let start = 0; start < level.length; start += IN_BLOCK) {
      const entries = level.slice(start, start + IN_BLOCK);
      const block = blocks[next++] as number;
      nodes.push({ block, bytes: encodeNode(entries, depth, IN_BLOCK, EXT4_BLOCK) });
      const at = (entries[0] as Entry).at;
      const bytes = Buffer.alloc(ENTRY);
      bytes.writeUInt32LE(at, 0);
      bytes.writeUInt32LE(block, 4);
      above.push({ at, bytes });
    }
    level = above;
    depth++;
  }
  return { root: encodeNode(level, depth, IN_INODE_EXTENTS, BLOCKS_LENGTH), nodes };
}

/** An entry of any level, and the first block of the file that it is for. */
interface Entry {
  at: number;
  bytes: Buffer;
}

function encodeNode(entries: readonly Entry[], depth: number, most: number, size: number): Buffer {
  const bytes = Buffer.alloc(size);
  bytes.writeUInt16LE(MAGIC, 0);
  bytes.writeUInt16LE(entries.length, 2);
  bytes.writeUInt16LE(most, 4);
  bytes.writeUInt16LE(depth, 6);
  entries.forEach((entry, index) => {
    entry.bytes.copy(bytes, ENTRY + index * ENTRY);
  });
  return bytes;
}

/** As Linux has it (`EXT4_MAX_EXTENT_DEPTH`). */
const MAX_DEPTH = 5;
/** A longer row has been allocated and not been written: it is zeros. */
const MAX_WRITTEN = 32_768;

/** What a tree of extents is read with. */
export interface ExtentSource {
  /** A block of the tree; throws where there is none. */
  block(number: number): Buffer;
  /** The error of a tree that is not as the format has it. */
  wrong(what: string): Error;
}

/**
 * Reads a file's tree of extents, which may be anything: what it gives is in the order of the file and without overlap.
 * Rows that were never written are left out, as holes are.
 *
 * @param root the bytes in the inode
 * @param most entries that fit there
 */
export function readExtents(root: Buffer, most: number, source: ExtentSource): FileExtent[] {
  const extents: FileExtent[] = [];
  let next = 0;
  const read = (bytes: Buffer, room: number, depth: number | undefined) => {
    const count = bytes.readUInt16LE(2);
    const found = bytes.readUInt16LE(6);
    if (bytes.readUInt16LE(0) !== MAGIC) throw source.wrong("are none");
    if (count > room) throw source.wrong(`are ${count}, and ${room} fit`);
    if (depth === undefined ? found > MAX_DEPTH : found !== depth) throw source.wrong("nest wrongly");
    for (let index = 0; index < count; index++) {
      const offset = ENTRY + index * ENTRY;
      const at = bytes.readUInt32LE(offset);
      if (at < next) throw source.wrong("overlap");
      if (found > 0) {
        const child = bytes.readUInt32LE(offset + 4) + bytes.readUInt16LE(offset + 8) * 2 ** 32;
        const block = source.block(child);
        read(block, Math.floor((block.length - ENTRY) / ENTRY), found - 1);
        continue;
      }
      const length = bytes.readUInt16LE(offset + 4);
      if (length === 0) throw source.wrong("are empty");
      const isWritten = length <= MAX_WRITTEN;
      const block = bytes.readUInt32LE(offset + 8) + bytes.readUInt16LE(offset + 6) * 2 ** 32;
      if (isWritten) extents.push({ at, block, count: length });
      next = at + (isWritten ? length : length - MAX_WRITTEN);
    }
  };
  read(root, most, undefined);
  return extents;
}
