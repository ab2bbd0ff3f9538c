import type { ByteString, Inode } from "../layers/tree.ts";
import { encodeDevice, modeOf } from "./mode.ts";
import { cannotHold } from "./result.ts";

// Linux: fs/erofs/erofs_fs.h. All numbers are little-endian.

export const EROFS_BLOCK = 4096;
/** Inodes stand at multiples of this, and are numbered in units of it. */
export const EROFS_SLOT = 32;
/** An extended inode, the one that has a time of its own. */
export const EROFS_INODE = 64;
const SUPERBLOCK_OFFSET = 1024;
const MAGIC = 0xe0f5e1e2;
const BLOCK_BITS = 12;
/** The superblock has a checksum; inodes have the times of the last change. */
const FEATURES_COMPATIBLE = 0x1 | 0x2;
const EXTENDED = 1;
const LAYOUTS = { plain: 0, inline: 2 } as const;

export interface ErofsSuperblock {
  rootNumber: number;
  inodes: number;
  blocks: number;
  /** The block that inodes are numbered from. */
  metaBlock: number;
  /** Seconds since 1970. */
  time: number;
  uuid: Uint8Array;
}

/** The first block. */
export function encodeSuperblock(superblock: ErofsSuperblock): Buffer {
  const block = Buffer.alloc(EROFS_BLOCK);
  const fields = block.subarray(SUPERBLOCK_OFFSET);
  fields.writeUInt32LE(MAGIC, 0);
  fields.writeUInt32LE(FEATURES_COMPATIBLE, 8);
  fields.writeUInt8(BLOCK_BITS, 12);
  fields.writeUInt16LE(superblock.rootNumber, 14);
  fields.writeBigUInt64LE(BigInt(superblock.inodes), 16);
  fields.writeBigInt64LE(BigInt(superblock.time), 24);
  fields.writeUInt32LE(superblock.blocks, 36);
  fields.writeUInt32LE(superblock.metaBlock, 40);
  fields.set(superblock.uuid, 48);
  fields.writeUInt32LE(crc32c(fields), 4);
  return block;
}

/** Where an inode's data is: whole blocks in `block` and after it, the rest, if inline, behind the inode. */
export interface ErofsData {
  layout: keyof typeof LAYOUTS;
  size: number;
  block: number;
}

/** An inode without what follows it. `number` is what programs see where numbers have 32 bits only. */
export function encodeInode(
  inode: Inode,
  links: number,
  number: number,
  data: ErofsData,
  xattrs: number,
): Buffer {
  const bytes = Buffer.alloc(EROFS_INODE);
  bytes.writeUInt16LE(EXTENDED | (LAYOUTS[data.layout] << 1), 0);
  bytes.writeUInt16LE(xattrs === 0 ? 0 : (xattrs - XATTR_HEADER) / 4 + 1, 2);
  bytes.writeUInt16LE(modeOf(inode), 4);
  bytes.writeBigUInt64LE(BigInt(data.size), 8);
  const isDevice = inode.kind === "character" || inode.kind === "block";
  bytes.writeUInt32LE(isDevice ? encodeDevice(inode) : data.block, 16);
  bytes.writeUInt32LE(number, 20);
  bytes.writeUInt32LE(inode.uid, 24);
  bytes.writeUInt32LE(inode.gid, 28);
  bytes.writeBigInt64LE(BigInt(inode.mtime.seconds), 32);
  bytes.writeUInt32LE(inode.mtime.nanoseconds, 40);
  bytes.writeUInt32LE(links, 44);
  return bytes;
}

const XATTR_HEADER = 12;
const XATTR_ENTRY = 4;
/** The size of all has 16 bits, in units of 4 bytes. */
const MAX_XATTRS = 0xffff * 4;
/** A prefix of a name is a number; the first that fits. */
const XATTR_PREFIXES: readonly [string, number][] = [
  ["system.posix_acl_access", 2],
  ["system.posix_acl_default", 3],
  ["user.", 1],
  ["trusted.", 4],
  ["security.", 6],
];

/** The extended attributes that follow an inode: nothing where there are none. In the order of their names. */
export function encodeXattrs(inode: Inode, path: ByteString): Buffer {
  if (inode.xattrs.size === 0) return Buffer.alloc(0);
  const parts: Buffer[] = [Buffer.alloc(XATTR_HEADER)];
  for (const name of [...inode.xattrs.keys()].sort()) {
    const value = inode.xattrs.get(name) as Uint8Array;
    const prefix = XATTR_PREFIXES.find(([text]) =>
      text.endsWith(".") ? name.startsWith(text) : name === text,
    );
    if (prefix === undefined) throw cannotHold("EROFS", path, `it has no extended attributes as ${name}`);
    const rest = Buffer.from(name.slice(prefix[0].length), "latin1");
    if (rest.length > 0xff || value.length > 0xffff) {
      throw cannotHold("EROFS", path, `its extended attribute ${name} is too large`);
    }
    const head = Buffer.alloc(XATTR_ENTRY);
    head.writeUInt8(rest.length, 0);
    head.writeUInt8(prefix[1], 1);
    head.writeUInt16LE(value.length, 2);
    parts.push(head, rest, Buffer.from(value), Buffer.alloc(-(rest.length + value.length) & 3));
  }
  const bytes = Buffer.concat(parts);
  if (bytes.length > MAX_XATTRS)
    throw cannotHold("EROFS", path, "its extended attributes are too large together");
  return bytes;
}

export const DIRECTORY_ENTRY = 12;
const FILE_TYPES: Readonly<Record<Inode["kind"], number>> = {
  file: 1,
  directory: 2,
  character: 3,
  block: 4,
  fifo: 5,
  link: 7,
};

/** A name in a directory. */
export interface ErofsName {
  name: ByteString;
  number: number;
  kind: Inode["kind"];
}

/** How many names each block of a directory has; `names` in their order, with `.` and `..`. */
export function directoryBlocks(names: readonly ByteString[]): { counts: number[]; size: number } {
  const counts: number[] = [];
  let count = 0;
  let used = 0;
  for (const name of names) {
    const size = DIRECTORY_ENTRY + name.length;
    if (used + size > EROFS_BLOCK) {
      counts.push(count);
      count = 0;
      used = 0;
    }
    count++;
    used += size;
  }
  return { counts: [...counts, count], size: counts.length * EROFS_BLOCK + used };
}

/** The data of a directory: in each block its entries, then their names. */
export function encodeDirectory(
  names: readonly ErofsName[],
  counts: readonly number[],
  size: number,
): Buffer {
  const bytes = Buffer.alloc(size);
  let next = 0;
  counts.forEach((count, index) => {
    const block = bytes.subarray(index * EROFS_BLOCK);
    let nameOffset = count * DIRECTORY_ENTRY;
    for (const [slot, { name, number, kind }] of names.slice(next, next + count).entries()) {
      const offset = slot * DIRECTORY_ENTRY;
      block.writeBigUInt64LE(BigInt(number), offset);
      block.writeUInt16LE(nameOffset, offset + 8);
      block.writeUInt8(FILE_TYPES[kind], offset + 10);
      block.write(name, nameOffset, "latin1");
      nameOffset += name.length;
    }
    next += count;
  });
  return bytes;
}

/** Castagnoli's, reflected, begun with all bits set and not inverted at its end. */
function crc32c(bytes: Uint8Array): number {
  let sum = 0xffff_ffff;
  for (const byte of bytes) {
    sum ^= byte;
    for (let bit = 0; bit < 8; bit++) sum = (sum >>> 1) ^ (sum & 1 ? 0x82f6_3b78 : 0);
  }
  return sum >>> 0;
}
