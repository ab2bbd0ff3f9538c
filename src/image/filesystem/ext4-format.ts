import type { ByteString, Inode, Time } from "../layers/tree.ts";
import {
  BLOCKS_PER_GROUP,
  DESCRIPTOR_SIZE,
  EXT4_BLOCK,
  FIRST_INODE,
  type Geometry,
  type Group,
  INODE_SIZE,
} from "./ext4-geometry.ts";

// Linux: fs/ext4/ext4.h and Documentation/filesystems/ext4/. All numbers but the journal's are little-endian.

export const ROOT_INODE = 2;
export const JOURNAL_INODE = 8;
const COMPATIBLE = { journal: 0x4, extendedAttributes: 0x8, directoryIndex: 0x20 };
const INCOMPATIBLE = { fileType: 0x2, extents: 0x40 };
const READ_ONLY_COMPATIBLE = {
  sparseSuper: 0x1,
  largeFile: 0x2,
  hugeFile: 0x8,
  directoryLinks: 0x20,
  extraSize: 0x40,
};
/** What inodes have beyond the 128 bytes of ext2. */
const EXTRA_SIZE = 32;
const HALF_MD4 = 1;
const SIGNED_HASH = 1;
const DEFAULT_USER_XATTR_AND_ACL = 0xc;
export const FLAG_EXTENTS = 0x80000;

export interface Ext4Superblock {
  geometry: Geometry;
  freeBlocks: number;
  freeInodes: number;
  /** Seconds since 1970. */
  time: number;
  uuid: Uint8Array;
  /** The journal's inode as it is in the table, if there is one. */
  journal: Buffer | undefined;
}

/** @param group which copy it is: 0 for the first */
export function encodeSuperblock(superblock: Ext4Superblock, group: number): Buffer {
  const { geometry, time, uuid, journal } = superblock;
  const bytes = Buffer.alloc(1024);
  bytes.writeUInt32LE(geometry.inodesPerGroup * geometry.groups.length, 0x00);
  bytes.writeUInt32LE(geometry.blocks, 0x04);
  bytes.writeUInt32LE(superblock.freeBlocks, 0x0c);
  bytes.writeUInt32LE(superblock.freeInodes, 0x10);
  bytes.writeUInt32LE(Math.log2(EXT4_BLOCK) - 10, 0x18);
  bytes.writeUInt32LE(Math.log2(EXT4_BLOCK) - 10, 0x1c);
  bytes.writeUInt32LE(BLOCKS_PER_GROUP, 0x20);
  bytes.writeUInt32LE(BLOCKS_PER_GROUP, 0x24);
  bytes.writeUInt32LE(geometry.inodesPerGroup, 0x28);
  bytes.writeUInt32LE(time, 0x30);
  bytes.writeUInt16LE(0xffff, 0x36); // No check after a number of mounts.
  bytes.writeUInt16LE(0xef53, 0x38);
  bytes.writeUInt16LE(1, 0x3a); // Clean.
  bytes.writeUInt16LE(1, 0x3c); // After errors: go on.
  bytes.writeUInt32LE(time, 0x40);
  bytes.writeUInt32LE(1, 0x4c); // The revision with what follows.
  bytes.writeUInt32LE(FIRST_INODE, 0x54);
  bytes.writeUInt16LE(INODE_SIZE, 0x58);
  bytes.writeUInt16LE(group, 0x5a);
  const { extendedAttributes, directoryIndex } = COMPATIBLE;
  bytes.writeUInt32LE(extendedAttributes | directoryIndex | (journal ? COMPATIBLE.journal : 0), 0x5c);
  bytes.writeUInt32LE(sum(INCOMPATIBLE), 0x60);
  bytes.writeUInt32LE(sum(READ_ONLY_COMPATIBLE), 0x64);
  bytes.set(uuid, 0x68);
  bytes.set(uuid, 0xec); // The seed of directories' hashes.
  bytes.writeUInt8(HALF_MD4, 0xfc);
  bytes.writeUInt32LE(DEFAULT_USER_XATTR_AND_ACL, 0x100);
  bytes.writeUInt32LE(time, 0x108);
  bytes.writeUInt16LE(EXTRA_SIZE, 0x15c);
  bytes.writeUInt16LE(EXTRA_SIZE, 0x15e);
  bytes.writeUInt32LE(SIGNED_HASH, 0x160);
  if (journal !== undefined) {
    bytes.writeUInt32LE(JOURNAL_INODE, 0xe0);
    bytes.writeUInt8(1, 0xfd); // A copy of the inode's blocks and size follows.
    bytes.set(journal.subarray(BLOCKS_OFFSET, BLOCKS_OFFSET + BLOCKS_LENGTH), 0x10c);
    bytes.writeUInt32LE(journal.readUInt32LE(SIZE_HIGH_OFFSET), 0x10c + BLOCKS_LENGTH);
    bytes.writeUInt32LE(journal.readUInt32LE(SIZE_OFFSET), 0x10c + BLOCKS_LENGTH + 4);
  }
  return bytes;
}

export interface GroupUse {
  freeBlocks: number;
  freeInodes: number;
  directories: number;
}

/** The descriptors of all groups, in whole blocks. */
export function encodeDescriptors(
  groups: readonly Group[],
  uses: readonly GroupUse[],
  blocks: number,
): Buffer {
  const bytes = Buffer.alloc(blocks * EXT4_BLOCK);
  groups.forEach((group, index) => {
    const { freeBlocks, freeInodes, directories } = uses[index] as GroupUse;
    const offset = index * DESCRIPTOR_SIZE;
    bytes.writeUInt32LE(group.blockBitmap, offset);
    bytes.writeUInt32LE(group.inodeBitmap, offset + 4);
    bytes.writeUInt32LE(group.inodeTable, offset + 8);
    bytes.writeUInt16LE(freeBlocks, offset + 12);
    bytes.writeUInt16LE(freeInodes, offset + 14);
    bytes.writeUInt16LE(directories, offset + 16);
  });
  return bytes;
}

/** A bitmap of one block: the first `used` are taken, and what is behind `count` does not exist. */
export function encodeBitmap(used: number, count: number): Buffer {
  const bytes = Buffer.alloc(EXT4_BLOCK);
  setBits(bytes, 0, used);
  setBits(bytes, count, 8 * EXT4_BLOCK);
  return bytes;
}

function setBits(bytes: Buffer, from: number, to: number): void {
  let bit = from;
  for (; bit < to && bit % 8 !== 0; bit++) bytes[bit >> 3] = (bytes[bit >> 3] as number) | (1 << (bit & 7));
  const whole = Math.max(bit, to - (to % 8));
  bytes.fill(0xff, bit >> 3, whole >> 3);
  for (bit = whole; bit < to; bit++) bytes[bit >> 3] = (bytes[bit >> 3] as number) | (1 << (bit & 7));
}

export interface Ext4Inode {
  /** Kind of file and permission bits. */
  mode: number;
  uid: number;
  gid: number;
  links: number;
  size: number;
  mtime: Time;
  flags: number;
  /** Blocks of the file, those that have its extents and attributes included. */
  blocks: number;
  /** 60 bytes: extents, a device's number or a short link's target. */
  content: Buffer;
  /** What is behind the fields: extended attributes, or nothing. */
  attributes: Buffer;
  /** The block of the extended attributes that are not there; 0 for none. */
  attributeBlock: number;
}

const SIZE_OFFSET = 4;
export const BLOCKS_OFFSET = 40;
export const BLOCKS_LENGTH = 60;
const SIZE_HIGH_OFFSET = 108;
const ATTRIBUTES_OFFSET = 128 + EXTRA_SIZE;
/** What an inode has for its extended attributes. */
export const INODE_ATTRIBUTES = INODE_SIZE - ATTRIBUTES_OFFSET;

export function encodeInode(inode: Ext4Inode): Buffer {
  const bytes = Buffer.alloc(INODE_SIZE);
  const { seconds, nanoseconds } = inode.mtime;
  // Two more bits of the seconds, as what is to be added to a signed number of 32 bits; then the nanoseconds.
  const low = seconds | 0;
  const extra = ((((seconds - low) / 2 ** 32) & 3) | (nanoseconds << 2)) >>> 0;
  const sectors = (inode.blocks * EXT4_BLOCK) / 512;
  bytes.writeUInt16LE(inode.mode, 0);
  bytes.writeUInt16LE(inode.uid & 0xffff, 2);
  bytes.writeUInt32LE(inode.size % 2 ** 32, SIZE_OFFSET);
  for (const offset of [8, 12, 16, 144]) bytes.writeInt32LE(low, offset);
  bytes.writeUInt16LE(inode.gid & 0xffff, 24);
  bytes.writeUInt16LE(inode.links, 26);
  bytes.writeUInt32LE(sectors % 2 ** 32, 28);
  bytes.writeUInt32LE(inode.flags, 32);
  inode.content.copy(bytes, BLOCKS_OFFSET);
  bytes.writeUInt32LE(inode.attributeBlock, 104);
  bytes.writeUInt32LE(Math.floor(inode.size / 2 ** 32), SIZE_HIGH_OFFSET);
  bytes.writeUInt16LE(Math.floor(sectors / 2 ** 32), 116);
  bytes.writeUInt16LE(inode.uid >>> 16, 120);
  bytes.writeUInt16LE(inode.gid >>> 16, 122);
  bytes.writeUInt16LE(EXTRA_SIZE, 128);
  for (const offset of [132, 136, 140, 148]) bytes.writeUInt32LE(extra, offset);
  inode.attributes.copy(bytes, ATTRIBUTES_OFFSET);
  return bytes;
}

const FILE_TYPES: Readonly<Record<Inode["kind"], number>> = {
  file: 1,
  directory: 2,
  character: 3,
  block: 4,
  fifo: 5,
  link: 7,
};

export interface Ext4Name {
  name: ByteString;
  number: number;
  kind: Inode["kind"];
}

/** How many blocks {@link encodeDirectory} gives. */
export function directoryBlocks(names: readonly ByteString[]): number {
  let blocks = 1;
  let used = 0;
  for (const name of names) {
    const length = recordLength(name);
    if (used + length > EXT4_BLOCK) {
      blocks++;
      used = 0;
    }
    used += length;
  }
  return blocks;
}

/** The blocks of a directory, without an index: `.` and `..` must be the first names. */
export function encodeDirectory(names: readonly Ext4Name[]): Buffer {
  const bytes = Buffer.alloc(directoryBlocks(names.map(({ name }) => name)) * EXT4_BLOCK);
  let offset = 0;
  let last = 0;
  for (const { name, number, kind } of names) {
    const length = recordLength(name);
    const blockEnd = Math.floor(last / EXT4_BLOCK) * EXT4_BLOCK + EXT4_BLOCK;
    if (offset + length > blockEnd) {
      // The last record of a block goes to its end.
      bytes.writeUInt16LE(blockEnd - last, last + 4);
      offset = blockEnd;
    }
    bytes.writeUInt32LE(number, offset);
    bytes.writeUInt16LE(length, offset + 4);
    bytes.writeUInt8(name.length, offset + 6);
    bytes.writeUInt8(FILE_TYPES[kind], offset + 7);
    bytes.write(name, offset + 8, "latin1");
    last = offset;
    offset += length;
  }
  bytes.writeUInt16LE(bytes.length - last, last + 4);
  return bytes;
}

function recordLength(name: ByteString): number {
  return (8 + name.length + 3) & ~3;
}

/** The journal's first block, which says that there is nothing to replay; big-endian (fs/jbd2). */
export function encodeJournal(blocks: number, uuid: Uint8Array): Buffer {
  const bytes = Buffer.alloc(EXT4_BLOCK);
  bytes.writeUInt32BE(0xc03b3998, 0);
  bytes.writeUInt32BE(4, 4); // A superblock of the second version.
  bytes.writeUInt32BE(EXT4_BLOCK, 12);
  bytes.writeUInt32BE(blocks, 16);
  bytes.writeUInt32BE(1, 20); // The first block of the log.
  bytes.writeUInt32BE(1, 24); // The first number expected in it.
  bytes.set(uuid, 48);
  bytes.writeUInt32BE(1, 64); // Of one file system.
  return bytes;
}

function sum(bits: Readonly<Record<string, number>>): number {
  return Object.values(bits).reduce((all, bit) => all | bit, 0);
}
