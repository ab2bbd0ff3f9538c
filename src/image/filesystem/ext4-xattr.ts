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

function isAcl(index: number): boolean {
  return index === 2 || index === 3;
}

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
  const [, index] = prefix;
  return { index, name: rest, value: isAcl(index) ? aclOf(value, path) : Buffer.from(value) };
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
const NO_ID = Buffer.alloc(4, 0xff);

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

/** Where the attributes of a file may be, and what is said of those that are not as the format has them. */
export interface AttributeSource {
  /** Behind the fields of its inode. */
  inInode: Buffer;
  /** Its block, if it has one. */
  block: Buffer | undefined;
  wrong(what: string): Error;
}

/** Reads a file's extended attributes, which may be anything. */
export function decodeAttributes({ inInode, block, wrong }: AttributeSource): Map<ByteString, Uint8Array> {
  const found = new Map<ByteString, Uint8Array>();
  if (inInode.length >= 4 && inInode.readUInt32LE(0) === MAGIC) {
    readEntries(inInode.subarray(4), 0, found, wrong);
  }
  if (block !== undefined) {
    if (block.readUInt32LE(0) !== MAGIC) throw wrong("are none");
    readEntries(block, BLOCK_HEADER, found, wrong);
  }
  return found;
}

function readEntries(
  bytes: Buffer,
  start: number,
  found: Map<ByteString, Uint8Array>,
  wrong: AttributeSource["wrong"],
): void {
  for (let offset = start; ; ) {
    if (offset + 4 > bytes.length) throw wrong("have no end");
    if (bytes.readUInt32LE(offset) === 0) return;
    const length = bytes.readUInt8(offset);
    if (offset + ENTRY + length > bytes.length) throw wrong("have a name without an end");
    const index = bytes.readUInt8(offset + 1);
    const prefix = PREFIXES.find(([, number]) => number === index)?.[0];
    if (prefix === undefined) throw wrong(`have a name of an unknown kind (${index})`);
    const inode = bytes.readUInt32LE(offset + 4);
    const size = bytes.readUInt32LE(offset + 8);
    const at = size === 0 ? 0 : bytes.readUInt16LE(offset + 2);
    if (inode !== 0 || at + size > bytes.length) throw wrong("have a value that is not there");
    const name = prefix + bytes.toString("latin1", offset + ENTRY, offset + ENTRY + length);
    const isPossible = prefix.endsWith(".") === length > 0 && !name.includes("\0") && !found.has(name);
    if (!isPossible) throw wrong("have names that cannot be");
    const value = Buffer.from(bytes.subarray(at, at + size));
    found.set(name, isAcl(index) ? aclFrom(value, wrong) : value);
    offset += ENTRY + pad(length);
  }
}

/** The reverse of {@link aclOf}: entries without an id get the one that says so. */
function aclFrom(value: Buffer, wrong: AttributeSource["wrong"]): Buffer {
  const parts: Uint8Array[] = [Buffer.from([2, 0, 0, 0])];
  if (value.length < 4 || value.readUInt32LE(0) !== 1)
    throw wrong("have an access control list that is none");
  for (let offset = 4; offset < value.length; ) {
    if (offset + 4 > value.length) throw wrong("have an access control list without an end");
    const tag = value.readUInt16LE(offset);
    const hasId = tag === ACL_USER || tag === ACL_GROUP;
    const end = offset + (hasId ? 8 : 4);
    if (end > value.length) throw wrong("have an access control list without an end");
    parts.push(value.subarray(offset, end));
    if (!hasId) parts.push(NO_ID);
    offset = end;
  }
  return Buffer.concat(parts);
}
