import type { ByteString, Inode } from "../layers/tree.ts";
import { INODE_ATTRIBUTES } from "./ext4-format.ts";
import { EXT4_BLOCK } from "./ext4-geometry.ts";
import { cannotHold } from "./result.ts";

// Linux: fs/ext4/xattr.h and fs/ext4/acl.h.

const MAGIC = 0xea020000;
const BLOCK_HEADER = 32;
const ENTRY = 16;
/** A prefix of a name is a number; the first that fits. */
const PREFIXES: readonly [string, number][] = [
  ["system.posix_acl_access", 2],
  ["system.posix_acl_default", 3],
  ["user.", 1],
  ["trusted.", 4],
  ["security.", 6],
  ["system.", 7],
];

interface Attribute {
  index: number;
  /** Without its prefix. */
  name: Buffer;
  value: Buffer;
}

/** A file's extended attributes: behind the fields of its inode where there is room, else in a block. */
export interface Ext4Attributes {
  inInode: Buffer;
  block: Buffer | undefined;
}

/** @throws UruncError `file-system` if they have names that ext4 does not have, or are larger than a block */
export function encodeAttributes(inode: Inode, path: ByteString): Ext4Attributes {
  const attributes = [...inode.xattrs].map(([name, value]) => attributeOf(name, value, path)).sort(compare);
  if (attributes.length === 0) return { inInode: Buffer.alloc(0), block: undefined };
  if (sizeOf(attributes) <= INODE_ATTRIBUTES - 4) {
    const bytes = Buffer.alloc(INODE_ATTRIBUTES);
    bytes.writeUInt32LE(MAGIC, 0);
    // Offsets are from the first entry.
    fill(bytes.subarray(4), attributes, 0);
    return { inInode: bytes, block: undefined };
  }
  if (sizeOf(attributes) > EXT4_BLOCK - BLOCK_HEADER) {
    throw cannotHold("ext4", path, "its extended attributes are larger than 4064 bytes together");
  }
  const block = Buffer.alloc(EXT4_BLOCK);
  block.writeUInt32LE(MAGIC, 0);
  block.writeUInt32LE(1, 4); // Of one file.
  block.writeUInt32LE(1, 8); // One block.
  fill(block, attributes, BLOCK_HEADER);
  return { inInode: Buffer.alloc(0), block };
}

function attributeOf(name: ByteString, value: Uint8Array, path: ByteString): Attribute {
  const prefix = PREFIXES.find(([text]) => (text.endsWith(".") ? name.startsWith(text) : name === text));
  const rest = Buffer.from(name.slice(prefix?.[0].length), "latin1");
  if (prefix === undefined || rest.length > 255) {
    throw cannotHold("ext4", path, `it has no extended attributes as ${name}`);
  }
  const isAcl = prefix[1] === 2 || prefix[1] === 3;
  return { index: prefix[1], name: rest, value: isAcl ? aclOf(value, path) : Buffer.from(value) };
}

/** The order that the kernel searches a block in. */
function compare(a: Attribute, b: Attribute): number {
  return a.index - b.index || a.name.length - b.name.length || a.name.compare(b.name);
}

/** Entries, the zeros that end them, and values. */
function sizeOf(attributes: readonly Attribute[]): number {
  return attributes.reduce((sum, { name, value }) => sum + ENTRY + pad(name.length) + pad(value.length), 4);
}

/** Entries from `start` on, values from the end backwards. */
function fill(bytes: Buffer, attributes: readonly Attribute[], start: number): void {
  let offset = start;
  let end = bytes.length;
  for (const { index, name, value } of attributes) {
    if (value.length > 0) end -= pad(value.length);
    bytes.writeUInt8(name.length, offset);
    bytes.writeUInt8(index, offset + 1);
    bytes.writeUInt16LE(value.length > 0 ? end : 0, offset + 2);
    bytes.writeUInt32LE(value.length, offset + 8);
    bytes.writeUInt32LE(hashOf(name, value), offset + 12);
    name.copy(bytes, offset + ENTRY);
    value.copy(bytes, end);
    offset += ENTRY + pad(name.length);
  }
}

/** `ext4_xattr_hash_entry`, with the name's bytes as unsigned. */
function hashOf(name: Buffer, value: Buffer): number {
  let hash = 0;
  for (const byte of name) hash = ((hash << 5) ^ (hash >>> 27) ^ byte) >>> 0;
  const words = Buffer.concat([value, Buffer.alloc(-value.length & 3)]);
  for (let offset = 0; offset < words.length; offset += 4) {
    hash = ((hash << 16) ^ (hash >>> 16) ^ words.readUInt32LE(offset)) >>> 0;
  }
  return hash;
}

const ACL_USER = 0x02;
const ACL_GROUP = 0x08;

/**
 * An access control list as ext4 keeps it: version 1, with an id only where there is one. Programs see version 2, as
 * `struct posix_acl_xattr_header` has it.
 */
function aclOf(value: Uint8Array, path: ByteString): Buffer {
  const bytes = Buffer.from(value);
  if (bytes.length < 4 || bytes.length % 8 !== 4 || bytes.readUInt32LE(0) !== 2) {
    throw cannotHold("ext4", path, "its access control list is none");
  }
  const parts = [Buffer.from([1, 0, 0, 0])];
  for (let offset = 4; offset < bytes.length; offset += 8) {
    const tag = bytes.readUInt16LE(offset);
    const hasId = tag === ACL_USER || tag === ACL_GROUP;
    parts.push(bytes.subarray(offset, offset + (hasId ? 8 : 4)));
  }
  return Buffer.concat(parts);
}

function pad(length: number): number {
  return (length + 3) & ~3;
}
