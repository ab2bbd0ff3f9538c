import { UruncError } from "../../errors.ts";
import type { Content, ContentStore } from "../layers/content.ts";
import {
  type ByteString,
  type Directory,
  type Inode,
  placesOf,
  sortedNames,
  type Time,
} from "../layers/tree.ts";
import { encodeExtents, extentBlocks, type FileExtent } from "./ext4-extents.ts";
import {
  BLOCKS_LENGTH,
  directoryBlocks,
  type Ext4Superblock,
  encodeBitmap,
  encodeDescriptors,
  encodeDirectory,
  encodeInode,
  encodeJournal,
  encodeSuperblock,
  FLAG_EXTENTS,
  type GroupUse,
  JOURNAL_INODE,
  ROOT_INODE,
} from "./ext4-format.ts";
import {
  BLOCKS_PER_GROUP,
  BlockAllocator,
  EXT4_BLOCK,
  FIRST_INODE,
  type Geometry,
  geometryFor,
  geometryOf,
  INODE_SIZE,
} from "./ext4-geometry.ts";
import { type Ext4Attributes, encodeAttributes } from "./ext4-xattr.ts";
import { uuidOfTree } from "./identity.ts";
import { encodeDevice, modeOf } from "./mode.ts";
import { type FileOptions, makeFile, type Output, writePart } from "./output.ts";
import { cannotHold, type Loss, type Written } from "./result.ts";

export interface Ext4Options extends FileOptions {
  /** The image's length in bytes, rounded down to blocks (default: what the tree needs and a headroom). */
  size?: number;
  /** Seconds since 1970 that the file system is said to be made at: `SOURCE_DATE_EPOCH` (default: 0). */
  time?: number;
  /** 16 bytes (default: made of the tree). */
  uuid?: Uint8Array;
}

/** Of a size that is not given: a quarter of what the tree takes, and at least 64 MiB. Unused, it takes no room. */
const HEADROOM = 0.25;
const LEAST_HEADROOM = (64 << 20) / EXT4_BLOCK;
/** Numbers of blocks have 32 bits. */
const MAX_BLOCKS = 0xffff_ffff;
const MAX_LINKS = 65_000;
/** Two bits more than 32, signed. */
const LEAST_TIME = -(2 ** 31);
const MOST_TIME = 2 ** 34 - 2 ** 31 - 1;
/** A link's target that is shorter is in its inode. */
const SHORT_TARGET = BLOCKS_LENGTH;

/**
 * Writes a tree as an ext4 image, with a journal if it has at least 8 MiB. Needs neither rights nor tools. Equal trees
 * and options give equal bytes. There is no `lost+found`, as the tree has none.
 *
 * Times that ext4 does not have (before 1901, after 2446) become the nearest: those are the losses.
 *
 * @throws UruncError `file-system` if the size is too small, for extended attributes that ext4 cannot hold, more than
 *   65,000 hard links of a file, or an image that cannot be written
 */
export function writeExt4(
  tree: Directory,
  store: ContentStore,
  path: string,
  options: Ext4Options = {},
): Written {
  const losses: Loss[] = [];
  const nodes = nodesOf(tree, losses);
  const geometry = chooseGeometry(nodes, options.size);
  const uuid = options.uuid ?? uuidOfTree(tree);
  const image = layOut(nodes, geometry, uuid, options.time ?? 0);
  const bytes = makeFile(
    path,
    (output) => {
      writeImage(output, store, image);
      return geometry.blocks * EXT4_BLOCK;
    },
    options,
  );
  return { bytes, losses };
}

/** One file, its numbers known and its blocks not. */
interface Node {
  number: number;
  inode: Inode;
  links: number;
  mtime: Time;
  attributes: Ext4Attributes;
  size: number;
  /** What of the file is not a hole, in blocks. */
  ranges: readonly Range[];
  /** Of a directory. */
  names: Parameters<typeof encodeDirectory>[0];
}

/** Blocks of a file in a row, which are not zeros. */
interface Range {
  at: number;
  count: number;
}

function nodesOf(tree: Directory, losses: Loss[]): Node[] {
  const places = placesOf(tree).filter(({ first }) => first);
  const numbers = new Map<Inode, number>([[tree, ROOT_INODE]]);
  for (const { inode } of places) {
    if (inode !== tree) numbers.set(inode, FIRST_INODE + numbers.size - 1);
  }
  const parents = new Map<Inode, number>([[tree, ROOT_INODE]]);
  return places.map(({ path, inode, links }): Node => {
    const number = numbers.get(inode) as number;
    if (inode.kind !== "directory" && links > MAX_LINKS) {
      throw cannotHold("ext4", path, `it has ${links} hard links, and ${MAX_LINKS} are the most`);
    }
    const names: Node["names"][number][] = [];
    if (inode.kind === "directory") {
      names.push({ name: ".", number, kind: "directory" });
      names.push({ name: "..", number: parents.get(inode) as number, kind: "directory" });
      for (const name of sortedNames(inode)) {
        const child = inode.children.get(name) as Inode;
        if (child.kind === "directory") parents.set(child, number);
        names.push({ name, number: numbers.get(child) as number, kind: child.kind });
      }
    }
    const { size, ranges } = dataOf(inode, names);
    return {
      number,
      inode,
      // One means "many" for a directory.
      links: links > MAX_LINKS ? 1 : links,
      mtime: nearestTime(inode.mtime, path, losses),
      attributes: encodeAttributes(inode, path),
      size,
      ranges,
      names,
    };
  });
}

function dataOf(inode: Inode, names: Node["names"]): { size: number; ranges: Range[] } {
  switch (inode.kind) {
    case "directory": {
      const count = directoryBlocks(names.map(({ name }) => name));
      return { size: count * EXT4_BLOCK, ranges: [{ at: 0, count }] };
    }
    case "file":
      return { size: inode.content.size, ranges: rangesOf(inode.content) };
    case "link": {
      const size = inode.target.length;
      return { size, ranges: size < SHORT_TARGET ? [] : [{ at: 0, count: 1 }] };
    }
    default:
      return { size: 0, ranges: [] };
  }
}

function rangesOf({ runs }: Content): Range[] {
  const ranges: Range[] = [];
  for (const { at, length } of runs) {
    const start = Math.floor(at / EXT4_BLOCK);
    const end = Math.ceil((at + length) / EXT4_BLOCK);
    const last = ranges.at(-1);
    // Two runs may share a block.
    if (last !== undefined && start <= last.at + last.count) last.count = end - last.at;
    else ranges.push({ at: start, count: end - start });
  }
  return ranges;
}

function nearestTime(time: Time, path: ByteString, losses: Loss[]): Time {
  const seconds = Math.min(Math.max(time.seconds, LEAST_TIME), MOST_TIME);
  if (seconds === time.seconds) return time;
  losses.push({ path, what: "its time" });
  return { seconds, nanoseconds: 0 };
}

function chooseGeometry(nodes: readonly Node[], size: number | undefined): Geometry {
  const inodes = FIRST_INODE - 1 + nodes.length;
  const data = nodes.reduce((sum, node) => sum + mostBlocks(node), 0);
  if (size === undefined) {
    const headroom = Math.max(Math.ceil(data * HEADROOM), LEAST_HEADROOM);
    const geometry = geometryFor(data + headroom, Math.ceil(inodes * (1 + HEADROOM)));
    if (geometry.blocks <= MAX_BLOCKS) return geometry;
    throw cannotHold("ext4", "", "it is larger than 16 TiB");
  }
  const blocks = Math.min(Math.floor(size / EXT4_BLOCK), MAX_BLOCKS);
  const geometry = blocks < 16 ? undefined : geometryOf(blocks, inodes);
  if (geometry !== undefined && geometry.room >= data) return geometry;
  const least = Math.ceil((geometryFor(data, inodes).blocks * EXT4_BLOCK) / 2 ** 20);
  throw new UruncError(
    "file-system",
    `an ext4 image of ${size} bytes is too small: these files need ${least} MiB`,
  );
}

/** What a file takes at most, as its rows of blocks are interrupted where groups begin. */
function mostBlocks({ ranges, attributes }: Node): number {
  const blocks = ranges.reduce((sum, { count }) => sum + count, 0);
  const extents = ranges.length + 2 * Math.ceil(blocks / (BLOCKS_PER_GROUP / 2)) + 1;
  return blocks + extentBlocks(extents) + (attributes.block === undefined ? 0 : 1);
}

/** All of the file system but the files' bytes. */
interface Image {
  geometry: Geometry;
  superblock: Ext4Superblock;
  descriptors: Buffer;
  allocator: BlockAllocator;
  /** By number, from 1: the place 0 is empty. */
  inodes: readonly (Buffer | undefined)[];
  /** What is in blocks for data, in the order of the blocks. */
  pieces: readonly Piece[];
}

/** What some blocks have: bytes, or a part of a file. */
type Piece = { block: number } & (
  | { kind: "bytes"; bytes: Buffer }
  | { kind: "part"; content: Content; from: number; to: number }
);

function layOut(nodes: readonly Node[], geometry: Geometry, uuid: Uint8Array, time: number): Image {
  const allocator = new BlockAllocator(geometry.groups);
  const pieces: Piece[] = [];
  const inodes: (Buffer | undefined)[] = [];
  let journal: Buffer | undefined;
  if (geometry.journalBlocks > 0) {
    journal = journalInode(geometry, allocator, pieces, uuid, time);
    inodes[JOURNAL_INODE] = journal;
  }
  for (const node of nodes) inodes[node.number] = inodeOf(node, allocator, pieces);

  const used = FIRST_INODE - 1 + nodes.length - 1;
  const uses = geometry.groups.map(
    ({ blocks }, index): GroupUse => ({
      freeBlocks: blocks - allocator.usedOf(index),
      freeInodes: geometry.inodesPerGroup - usedInodes(used, index, geometry),
      directories: 0,
    }),
  );
  for (const { inode, number } of nodes) {
    const group = uses[Math.floor((number - 1) / geometry.inodesPerGroup)] as GroupUse;
    if (inode.kind === "directory") group.directories++;
  }
  const total = (key: "freeBlocks" | "freeInodes") => uses.reduce((sum, use) => sum + use[key], 0);
  return {
    geometry,
    superblock: {
      geometry,
      freeBlocks: total("freeBlocks"),
      freeInodes: total("freeInodes"),
      time,
      uuid,
      journal,
    },
    descriptors: encodeDescriptors(geometry.groups, uses, geometry.descriptorBlocks),
    allocator,
    inodes,
    pieces,
  };
}

/** Numbers are given out without gaps: a group's used inodes are its first. */
function usedInodes(used: number, group: number, { inodesPerGroup }: Geometry): number {
  return Math.min(Math.max(used - group * inodesPerGroup, 0), inodesPerGroup);
}

function journalInode(
  { journalBlocks }: Geometry,
  allocator: BlockAllocator,
  pieces: Piece[],
  uuid: Uint8Array,
  time: number,
): Buffer {
  const extents = allocateRanges(allocator, [{ at: 0, count: journalBlocks }]);
  const first = (extents[0] as FileExtent).block;
  pieces.push({ kind: "bytes", block: first, bytes: encodeJournal(journalBlocks, uuid) });
  return encodeInode({
    mode: 0o100600,
    uid: 0,
    gid: 0,
    links: 1,
    size: journalBlocks * EXT4_BLOCK,
    mtime: { seconds: time, nanoseconds: 0 },
    flags: FLAG_EXTENTS,
    blocks: journalBlocks,
    content: encodeExtents(extents, []).root,
    attributes: Buffer.alloc(0),
    attributeBlock: 0,
  });
}

/** Gives a file its blocks, and says what is in them. */
function inodeOf(node: Node, allocator: BlockAllocator, pieces: Piece[]): Buffer {
  const { inode, attributes, ranges } = node;
  const extents = allocateRanges(allocator, ranges);
  for (const extent of extents) pieces.push(pieceOf(node, extent));
  const tree = allocator.allocate(extentBlocks(extents.length)).flatMap(({ block, count }) => {
    return Array.from({ length: count }, (_, index) => block + index);
  });
  const { root, nodes } = encodeExtents(extents, tree);
  for (const { block, bytes } of nodes) pieces.push({ kind: "bytes", block, bytes });
  let attributeBlock = 0;
  if (attributes.block !== undefined) {
    attributeBlock = allocator.allocate(1)[0]?.block as number;
    pieces.push({ kind: "bytes", block: attributeBlock, bytes: attributes.block });
  }
  const hasExtents = inode.kind === "file" || inode.kind === "directory" || ranges.length > 0;
  const data = ranges.reduce((sum, { count }) => sum + count, 0);
  return encodeInode({
    mode: modeOf(inode),
    uid: inode.uid,
    gid: inode.gid,
    links: node.links,
    size: node.size,
    mtime: node.mtime,
    flags: hasExtents ? FLAG_EXTENTS : 0,
    blocks: data + tree.length + (attributeBlock === 0 ? 0 : 1),
    content: hasExtents ? root : contentInInode(inode),
    attributes: attributes.inInode,
    attributeBlock,
  });
}

function allocateRanges(allocator: BlockAllocator, ranges: readonly Range[]): FileExtent[] {
  return ranges.flatMap((range) => {
    let at = range.at;
    return allocator.allocate(range.count).map(({ block, count }) => {
      const extent = { at, block, count };
      at += count;
      return extent;
    });
  });
}

function pieceOf({ inode, names }: Node, { at, block, count }: FileExtent): Piece {
  const from = at * EXT4_BLOCK;
  const to = from + count * EXT4_BLOCK;
  switch (inode.kind) {
    case "directory":
      return { kind: "bytes", block, bytes: encodeDirectory(names).subarray(from, to) };
    case "file":
      return { kind: "part", block, content: inode.content, from, to };
    case "link":
      return { kind: "bytes", block, bytes: Buffer.from(inode.target, "latin1") };
    default:
      throw new UruncError("internal", `a ${inode.kind} has no blocks`);
  }
}

/** Of a short link or a device. */
function contentInInode(inode: Inode): Buffer {
  const bytes = Buffer.alloc(BLOCKS_LENGTH);
  if (inode.kind === "link") {
    bytes.write(inode.target, "latin1");
  } else if (inode.kind === "character" || inode.kind === "block") {
    // The first form where it has room, as the kernel writes it.
    if (inode.major < 256 && inode.minor < 256) bytes.writeUInt32LE((inode.major << 8) | inode.minor, 0);
    else bytes.writeUInt32LE(encodeDevice(inode), 4);
  }
  return bytes;
}

/** From the first block to the last. */
function writeImage(output: Output, store: ContentStore, image: Image): void {
  const { geometry, superblock, descriptors, allocator, inodes, pieces } = image;
  let next = 0;
  geometry.groups.forEach((group, index) => {
    if (group.hasSuperblock) {
      // The first is behind what a boot loader may have.
      output.seek(index === 0 ? 1024 : group.start * EXT4_BLOCK);
      output.write(encodeSuperblock(superblock, index));
      output.seek((group.start + 1) * EXT4_BLOCK);
      output.write(descriptors);
    }
    output.seek(group.blockBitmap * EXT4_BLOCK);
    output.write(encodeBitmap(allocator.usedOf(index), group.blocks));
    output.write(encodeBitmap(usedInodes(inodes.length - 1, index, geometry), geometry.inodesPerGroup));
    const firstNumber = index * geometry.inodesPerGroup + 1;
    for (let offset = 0; offset < geometry.inodesPerGroup; offset++) {
      const bytes = inodes[firstNumber + offset];
      if (bytes === undefined) continue;
      output.seek(group.inodeTable * EXT4_BLOCK + offset * INODE_SIZE);
      output.write(bytes);
    }
    for (let piece = pieces[next]; piece !== undefined; piece = pieces[++next]) {
      if (piece.block >= group.start + group.blocks) break;
      output.seek(piece.block * EXT4_BLOCK);
      if (piece.kind === "bytes") output.write(piece.bytes);
      else writePart(output, store, piece.content, piece.from, piece.to);
    }
  });
}
