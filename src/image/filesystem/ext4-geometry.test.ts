import { describe, expect, test } from "bun:test";
import { extentBlocks } from "./ext4-extents.ts";
import { BLOCKS_PER_GROUP, BlockAllocator, geometryFor, geometryOf } from "./ext4-geometry.ts";

const MIB = 256;

describe("a file system of a size", () => {
  test("has copies of its superblock in the groups 0, 1 and the powers of 3, 5 and 7", () => {
    const { groups } = geometryOf(50 * BLOCKS_PER_GROUP, 11);
    expect(groups.flatMap(({ hasSuperblock }, index) => (hasSuperblock ? [index] : []))).toEqual([
      0, 1, 3, 5, 7, 9, 25, 27, 49,
    ]);
  });

  test("has groups that do not overlap, and no more blocks than were asked for", () => {
    for (const blocks of [100, 2048, 32_768, 32_768 + 500, 32_768 + 3000, 1_000_003]) {
      const geometry = geometryOf(blocks, 11);
      expect(geometry.blocks).toBeLessThanOrEqual(blocks);
      let end = 0;
      for (const group of geometry.groups) {
        expect(group.start).toBe(end);
        expect(group.inodeTable).toBe(group.blockBitmap + 2);
        expect(group.firstData).toBeGreaterThan(group.inodeTable);
        end = group.start + group.blocks;
        expect(group.firstData).toBeLessThanOrEqual(end);
      }
      expect(end).toBe(geometry.blocks);
    }
  });

  test("leaves out a last group that has no room for itself", () => {
    expect(geometryOf(BLOCKS_PER_GROUP + 300, 11)).toMatchObject({ blocks: BLOCKS_PER_GROUP });
  });

  test("has a journal from 8 MiB on", () => {
    expect(geometryOf(8 * MIB - 1, 11).journalBlocks).toBe(0);
    expect(geometryOf(8 * MIB, 11).journalBlocks).toBe(1024);
  });

  test("has no room if its own tables do not fit", () => {
    expect(geometryOf(20, 1000).room).toBe(-1);
    expect(geometryOf(1000, 100_000).room).toBe(-1);
  });
});

test("the least file system for some data has room for it, and for as many inodes as are asked for", () => {
  for (const data of [0, 1, 1000, 31_000, 33_000, 200_000]) {
    for (const inodes of [11, 5000, 100_000]) {
      const geometry = geometryFor(data, inodes);
      expect(geometry.room).toBeGreaterThanOrEqual(data);
      expect(geometry.groups.length * geometry.inodesPerGroup).toBeGreaterThanOrEqual(inodes);
    }
  }
});

test("blocks are given out from the first to the last, around what groups have for themselves", () => {
  const { groups } = geometryOf(2 * BLOCKS_PER_GROUP, 11);
  const [first, second] = groups as [(typeof groups)[0], (typeof groups)[0]];
  const allocator = new BlockAllocator(groups);
  expect(allocator.allocate(0)).toEqual([]);
  expect(allocator.allocate(10)).toEqual([{ block: first.firstData, count: 10 }]);
  const rest = BLOCKS_PER_GROUP - first.firstData - 10;
  expect(allocator.allocate(rest + 5)).toEqual([
    { block: first.firstData + 10, count: rest },
    { block: second.firstData, count: 5 },
  ]);
  expect([allocator.usedOf(0), allocator.usedOf(1)]).toEqual([
    BLOCKS_PER_GROUP,
    second.firstData + 5 - second.start,
  ]);
});

test("extents: four are in the inode, 340 in each block, and blocks of blocks above", () => {
  expect([0, 4, 5, 340, 341, 4 * 340, 4 * 340 + 1].map(extentBlocks)).toEqual([0, 0, 1, 1, 2, 4, 6]);
});
