import type { ContentStore } from "../layers/content.ts";
import { type ByteString, type Directory, type Inode, placesOf, sortedNames } from "../layers/tree.ts";
import {
  directoryBlocks,
  EROFS_BLOCK,
  EROFS_INODE,
  EROFS_SLOT,
  type ErofsData,
  encodeDirectory,
  encodeInode,
  encodeSuperblock,
  encodeXattrs,
} from "./erofs-format.ts";
import { uuidOfTree } from "./identity.ts";
import { type FileOptions, makeFile, type Output, writePart } from "./output.ts";
import { cannotHold, type Written } from "./result.ts";

export interface ErofsOptions extends FileOptions {
  /** Seconds since 1970 that the file system is said to be made at: `SOURCE_DATE_EPOCH` (default: 0). */
  time?: number;
  /** 16 bytes (default: made of the tree). */
  uuid?: Uint8Array;
}

/** Inodes follow the block of the superblock. */
const META_BLOCK = 1;
const MAX_BLOCKS = 0xffff_ffff;

/**
 * Writes a tree as an EROFS image, not compressed: read-only, exact, and read by Linux 5.4 and later. Needs neither
 * rights nor tools. Equal trees and options give equal bytes.
 *
 * A file's last part of a block is kept behind its inode where it fits; what is not in runs is zeros, which take no
 * room where the image is.
 *
 * @throws UruncError `file-system` for extended attributes that EROFS does not have, more than 16 TiB, or an image that
 *   cannot be written
 */
export function writeErofs(
  tree: Directory,
  store: ContentStore,
  path: string,
  options: ErofsOptions = {},
): Written {
  const plan = planErofs(tree);
  const bytes = makeFile(
    path,
    (output) => {
      output.write(
        encodeSuperblock({
          rootNumber: plan.numberOf(tree),
          inodes: plan.nodes.length,
          blocks: plan.blocks,
          metaBlock: META_BLOCK,
          time: options.time ?? 0,
          uuid: options.uuid ?? uuidOfTree(tree),
        }),
      );
      for (const node of plan.nodes) writeMetadata(output, store, node, plan);
      for (const node of plan.nodes) {
        const bytes = wholeBlocks(node.data);
        if (bytes === 0) continue;
        output.seek(node.data.block * EROFS_BLOCK);
        writeData(output, store, node, plan, 0, bytes);
      }
      return plan.blocks * EROFS_BLOCK;
    },
    options,
  );
  return { bytes, losses: [] };
}

/** One file with its place in the image. */
interface Node {
  inode: Inode;
  links: number;
  /** Counted from 1. */
  index: number;
  /** Where the inode is, in bytes from the start of the metadata. */
  position: number;
  xattrs: Buffer;
  data: ErofsData;
  /** Of a directory: the directory above it, and how many names each of its blocks has. */
  directory?: { inode: Directory; parent: Directory; counts: readonly number[] };
}

interface Plan {
  nodes: readonly Node[];
  blocks: number;
  numberOf(inode: Inode): number;
}

function planErofs(tree: Directory): Plan {
  const places = placesOf(tree).filter(({ first }) => first);
  const parents = new Map<Inode, Directory>([[tree, tree]]);
  const nodes: Node[] = [];
  let end = 0;
  places.forEach(({ path, inode, links }, index) => {
    const xattrs = encodeXattrs(inode, path);
    const { size, directory } = sizeOf(inode, parents);
    const head = EROFS_INODE + xattrs.length;
    const tail = size % EROFS_BLOCK;
    const layout = tail > 0 && head + tail <= EROFS_BLOCK ? "inline" : "plain";
    // Neither an inode nor an inline tail may lie in two blocks.
    const together = layout === "inline" ? head + tail : EROFS_INODE;
    let position = end;
    if ((position % EROFS_BLOCK) + together > EROFS_BLOCK) position = roundUp(position, EROFS_BLOCK);
    end = roundUp(position + head + (layout === "inline" ? tail : 0), EROFS_SLOT);
    const data: ErofsData = { layout, size, block: 0 };
    nodes.push({
      inode,
      links,
      index: index + 1,
      position,
      xattrs,
      data,
      ...(directory ? { directory } : {}),
    });
  });
  let block = META_BLOCK + Math.ceil(end / EROFS_BLOCK);
  for (const { data } of nodes) {
    const bytes = wholeBlocks(data);
    if (bytes === 0) continue;
    data.block = block;
    block += Math.ceil(bytes / EROFS_BLOCK);
  }
  if (block > MAX_BLOCKS) throw cannotHold("EROFS", "", "it is larger than 16 TiB");
  const numbers = new Map(nodes.map(({ inode, position }) => [inode, position / EROFS_SLOT]));
  return { nodes, blocks: block, numberOf: (inode) => numbers.get(inode) as number };
}

function sizeOf(
  inode: Inode,
  parents: Map<Inode, Directory>,
): { size: number; directory?: NonNullable<Node["directory"]> } {
  switch (inode.kind) {
    case "file":
      return { size: inode.content.size };
    case "link":
      return { size: inode.target.length };
    case "directory": {
      for (const child of inode.children.values()) {
        if (child.kind === "directory") parents.set(child, inode);
      }
      const { counts, size } = directoryBlocks(namesOf(inode));
      return { size, directory: { inode, parent: parents.get(inode) as Directory, counts } };
    }
    default:
      return { size: 0 };
  }
}

/** With the two that a tree does not have: Linux looks for them by their order as for any name. */
function namesOf(directory: Directory): ByteString[] {
  return [".", "..", ...sortedNames(directory)].sort();
}

/** How much of a file's data is in blocks of its own. */
function wholeBlocks({ layout, size }: ErofsData): number {
  return layout === "inline" ? size - (size % EROFS_BLOCK) : size;
}

function writeMetadata(output: Output, store: ContentStore, node: Node, plan: Plan): void {
  const { inode, links, index, xattrs, data } = node;
  output.seek(META_BLOCK * EROFS_BLOCK + node.position);
  output.write(encodeInode(inode, links, index, data, xattrs.length));
  output.write(xattrs);
  writeData(output, store, node, plan, wholeBlocks(data), data.size);
}

/** Writes the bytes of a file from `start` to before `end` where the output is. */
function writeData(
  output: Output,
  store: ContentStore,
  { inode, data, directory }: Node,
  plan: Plan,
  start: number,
  end: number,
): void {
  if (start === end) return;
  if (inode.kind === "link") {
    output.write(Buffer.from(inode.target, "latin1").subarray(start, end));
  } else if (directory !== undefined) {
    const names = namesOf(directory.inode).map((name) => {
      const named = inodeAt(directory, name);
      return { name, number: plan.numberOf(named), kind: named.kind };
    });
    output.write(encodeDirectory(names, directory.counts, data.size).subarray(start, end));
  } else if (inode.kind === "file") {
    writePart(output, store, inode.content, start, end);
  }
}

function inodeAt({ inode, parent }: NonNullable<Node["directory"]>, name: ByteString): Inode {
  if (name === ".") return inode;
  return name === ".." ? parent : (inode.children.get(name) as Inode);
}

function roundUp(value: number, unit: number): number {
  return Math.ceil(value / unit) * unit;
}
