// Linux: Documentation/filesystems/ext4/blockgroup.rst.

export const EXT4_BLOCK = 4096;
/** As many as a bitmap of one block has bits. */
export const BLOCKS_PER_GROUP = 8 * EXT4_BLOCK;
export const INODE_SIZE = 256;
export const DESCRIPTOR_SIZE = 32;
/** Inodes 1 to 10 are the file system's own. */
export const FIRST_INODE = 11;
const INODES_PER_BLOCK = EXT4_BLOCK / INODE_SIZE;
/** As `mkfs.ext4` has it: one for each 16 KiB. */
const BLOCKS_PER_INODE = 4;
/** A last group with less room than this for data is left out. */
const LEAST_GROUP = 64;

/** One group of blocks: its first blocks are its own, the rest are for data. */
export interface Group {
  start: number;
  blocks: number;
  /** It begins with a superblock and the descriptors of all groups. */
  hasSuperblock: boolean;
  blockBitmap: number;
  inodeBitmap: number;
  inodeTable: number;
  firstData: number;
}

export interface Geometry {
  blocks: number;
  groups: readonly Group[];
  inodesPerGroup: number;
  descriptorBlocks: number;
  /** 0: no journal. */
  journalBlocks: number;
  /** Blocks for data, the journal's left out; negative if not even what the file system has itself fits. */
  room: number;
}

/**
 * Lays out a file system of a size.
 *
 * @param blocks at most this many, of 4096 bytes; fewer where the last ones are too few for a group
 * @param inodes at least this many, those of the file system itself included
 */
export function geometryOf(blocks: number, inodes: number): Geometry {
  let count = Math.ceil(blocks / BLOCKS_PER_GROUP);
  for (;;) {
    const whole = Math.min(blocks, count * BLOCKS_PER_GROUP);
    const wanted = Math.max(inodes, Math.ceil(whole / BLOCKS_PER_INODE));
    const perGroup = Math.ceil(wanted / count / INODES_PER_BLOCK) * INODES_PER_BLOCK;
    const inodesPerGroup = Math.min(perGroup, BLOCKS_PER_GROUP);
    const descriptorBlocks = Math.ceil((count * DESCRIPTOR_SIZE) / EXT4_BLOCK);
    const groups: Group[] = [];
    for (let index = 0; index < count; index++) {
      groups.push(groupOf(index, whole, inodesPerGroup / INODES_PER_BLOCK, descriptorBlocks));
    }
    const last = groups.at(-1) as Group;
    if (count > 1 && last.firstData + LEAST_GROUP > last.start + last.blocks) {
      count--;
      continue;
    }
    const journalBlocks = journalOf(whole);
    const room = groups.reduce(
      (sum, group) => sum + group.start + group.blocks - group.firstData,
      -journalBlocks,
    );
    // Too many inodes for so few groups, or fewer blocks than their own tables have.
    const isPossible = inodesPerGroup * count >= inodes && groups.every((group) => groupFits(group));
    return {
      blocks: whole,
      groups,
      inodesPerGroup,
      descriptorBlocks,
      journalBlocks,
      room: isPossible ? room : -1,
    };
  }
}

/**
 * The least file system that has room for some blocks of data.
 *
 * @param data in blocks
 * @param inodes as for {@link geometryOf}
 */
export function geometryFor(data: number, inodes: number): Geometry {
  for (let blocks = data + LEAST_GROUP; ; ) {
    const geometry = geometryOf(blocks, inodes);
    if (geometry.room >= data) return geometry;
    blocks += Math.max(data - geometry.room, LEAST_GROUP);
  }
}

function groupOf(index: number, blocks: number, tableBlocks: number, descriptorBlocks: number): Group {
  const start = index * BLOCKS_PER_GROUP;
  const hasSuperblock = hasCopy(index);
  const blockBitmap = start + (hasSuperblock ? 1 + descriptorBlocks : 0);
  return {
    start,
    blocks: Math.min(BLOCKS_PER_GROUP, blocks - start),
    hasSuperblock,
    blockBitmap,
    inodeBitmap: blockBitmap + 1,
    inodeTable: blockBitmap + 2,
    firstData: blockBitmap + 2 + tableBlocks,
  };
}

function groupFits({ start, blocks, firstData }: Group): boolean {
  return firstData <= start + blocks;
}

/** Copies of the superblock are in the groups 0, 1 and the powers of 3, 5 and 7 ("sparse_super"). */
function hasCopy(index: number): boolean {
  return index < 2 || [3, 5, 7].some((base) => isPower(index, base));
}

function isPower(value: number, base: number): boolean {
  let rest = value;
  while (rest % base === 0) rest /= base;
  return rest === 1;
}

/** As `mkfs.ext4` chooses it. */
function journalOf(blocks: number): number {
  if (blocks < 2048) return 0;
  if (blocks < 32_768) return 1024;
  if (blocks < 262_144) return 4096;
  return blocks < 524_288 ? 8192 : 16_384;
}

/** Some blocks in a row. */
export interface Extent {
  block: number;
  count: number;
}

/** Gives out blocks for data from the first to the last, so that a group's used blocks are its first. */
export class BlockAllocator {
  readonly #groups: readonly Group[];
  #group = 0;
  #next: number;

  constructor(groups: readonly Group[]) {
    this.#groups = groups;
    this.#next = (groups[0] as Group).firstData;
  }

  /** In as few rows as there can be, in their order. The room must have been checked. */
  allocate(count: number): Extent[] {
    const extents: Extent[] = [];
    for (let rest = count; rest > 0; ) {
      let group = this.#groups[this.#group] as Group;
      if (this.#next === group.start + group.blocks) {
        group = this.#groups[++this.#group] as Group;
        this.#next = group.firstData;
        continue;
      }
      const taken = Math.min(rest, group.start + group.blocks - this.#next);
      extents.push({ block: this.#next, count: taken });
      this.#next += taken;
      rest -= taken;
    }
    return extents;
  }

  /** How many blocks of a group are used, its own included. */
  usedOf(index: number): number {
    const group = this.#groups[index] as Group;
    if (index < this.#group) return group.blocks;
    return (index === this.#group ? this.#next : group.firstData) - group.start;
  }
}
