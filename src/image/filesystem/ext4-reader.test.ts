import { afterAll, beforeAll, expect, test } from "bun:test";
import {
  closeSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { listTree, sampleTree } from "../../../tests/harness/trees.ts";
import { UruncError } from "../../errors.ts";
import { ContentStore } from "../layers/content.ts";
import { type Directory, type Inode, placesOf, plainDirectory } from "../layers/tree.ts";
import { writeExt4 } from "./ext4.ts";
import { readExt4 } from "./ext4-reader.ts";

const directory = mkdtempSync(join(tmpdir(), "urunc-ext4-"));
const store = new ContentStore(directory);
const image = join(directory, "image.ext4");
afterAll(() => {
  store.close();
  rmSync(directory, { recursive: true, force: true });
});

let tree: Directory;
beforeAll(() => {
  tree = sampleTree(store);
});

test("what was written is read back: every kind of file, owners, times, attributes, holes and hard links", () => {
  writeExt4(tree, store, image);
  const found = readExt4(image, store);
  expect(listTree(found, store)).toEqual(listTree(tree, store));
  const holes = (found.children.get("holes") as Directory).children.get("nothing");
  expect(holes).toMatchObject({ content: { size: 3_000_001, runs: [] } });
});

test("a directory can be read alone, and a link in its place is not followed", () => {
  writeExt4(tree, store, image);
  const owners = readExt4(image, store, { directory: ["owners"] });
  expect(owners).toMatchObject({ uid: 1000, gid: 65_534, mode: 0o2750 });
  expect([...owners.children.keys()]).toEqual(["set-id"]);
  expect(() => readExt4(image, store, { directory: ["links", "to-1"] })).toThrow("its root is no directory");
  expect(() => readExt4(image, store, { directory: ["missing"] })).toThrow("it has no missing");
});

test("what is no ext4, was not left in order or is cut off is refused with a sentence", () => {
  const small = plainDirectory();
  writeExt4(small, store, image, { size: 16 << 20 });
  const whole = readFileSync(image);
  const changed = (change: (bytes: Buffer) => void) => {
    const bytes = Buffer.from(whole);
    change(bytes);
    writeFileSync(image, bytes);
    return () => readExt4(image, store);
  };
  const superblock = 1024;
  expect(changed((bytes) => bytes.fill(0))).toThrow("cannot be read as an ext4 file system: it is none");
  const dirty = changed((bytes) => bytes.writeUInt32LE(0x46, superblock + 0x60));
  expect(dirty).toThrow(/was not left in order: "fsck.ext4 -y .*" puts it right/);
  expect(changed((bytes) => bytes.writeUInt32LE(0x8042, superblock + 0x60))).toThrow(
    "not known here (0x8000)",
  );
  expect(changed((bytes) => bytes.writeUInt32LE(6, superblock + 0x18))).toThrow("larger than 4096 bytes");
  expect(changed((bytes) => bytes.writeUInt32LE(0xffff_ffff, superblock + 0x04))).toThrow(
    "larger than its file",
  );
  changed(() => {});
  truncateSync(image, 1 << 20);
  expect(() => readExt4(image, store)).toThrow("larger than its file");
  truncateSync(image, 1000);
  expect(() => readExt4(image, store)).toThrow("it is too short");
  expect(() => readExt4(join(directory, "none"), store)).toThrow("cannot read");
});

test("limits of names and bytes hold", () => {
  writeExt4(tree, store, image);
  expect(() => readExt4(image, store, { limits: { entries: 100 } })).toThrow("has more than 100 files");
  expect(() => readExt4(image, store, { limits: { bytes: 1000 } })).toThrow(
    "has files of more than 1000 bytes",
  );
  const controller = new AbortController();
  controller.abort(new Error("interrupted"));
  expect(() => readExt4(image, store, { signal: controller.signal })).toThrow("interrupted");
});

test("directories in a circle are refused", () => {
  const root = plainDirectory();
  const inner = plainDirectory();
  root.children.set("inner", inner);
  inner.children.set("name", plainDirectory());
  writeExt4(root, store, image, { size: 16 << 20 });
  const bytes = readFileSync(image);
  const at = bytes.indexOf("name", bytes.indexOf("inner"));
  const numberOfInner = bytes.readUInt32LE(bytes.indexOf("inner") - 8);
  for (const number of [numberOfInner, 2]) {
    bytes.writeUInt32LE(number, at - 8);
    writeFileSync(image, bytes);
    expect(() => readExt4(image, store)).toThrow("a directory has two names");
  }
});

test("files that all have the same blocks cannot make more of an image than it has", () => {
  const root = plainDirectory();
  const position = store.position;
  store.append(Buffer.alloc(2 << 20, 1));
  const content = { size: 2 << 20, runs: [{ at: 0, position, length: 2 << 20 }] };
  for (let index = 10; index < 30; index++) {
    const file: Inode = {
      ...plainDirectory(),
      kind: "file",
      content: index === 10 ? content : { size: 0, runs: [] },
    };
    root.children.set(String(index), file);
  }
  writeExt4(root, store, image, { size: 16 << 20 });
  const bytes = readFileSync(image);
  const table = bytes.readUInt32LE(4096 + 8) * 4096;
  const inode = (number: number) => table + (number - 1) * 256;
  for (let number = 12; number < 12 + 19; number++) bytes.copy(bytes, inode(number), inode(11), inode(12));
  writeFileSync(image, bytes);
  expect(() => readExt4(image, store)).toThrow("its files have more blocks than there are");
});

/** Xorshift, so that what broke something can be tried again. */
function randomFrom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

/** The blocks that have something. */
function usedBlocks(bytes: Buffer): number[] {
  const used: number[] = [];
  for (let block = 0; block < bytes.length / 4096; block++) {
    if (bytes.subarray(block * 4096, block * 4096 + 4096).some((byte) => byte !== 0)) used.push(block);
  }
  return used;
}

test("whatever is changed in an image, reading it ends, with a tree inside the limits or a sentence", () => {
  const parts = ["deep", "links", "devices", "owners", "attributes", "names"];
  const small = { ...tree, children: new Map(parts.map((name) => [name, tree.children.get(name) as Inode])) };
  writeExt4(small, store, image, { size: 1 << 20 });
  const whole = readFileSync(image);
  const blocks = usedBlocks(whole);
  const random = randomFrom(20_240_817);
  let read = 0;
  const sentences = new Set<string>();
  const file = openSync(image, "r+");
  try {
    for (let round = 0; round < 600; round++) {
      const changes = Array.from({ length: 1 + random(4) }, () => {
        const at = (blocks[random(blocks.length)] as number) * 4096 + random(4096);
        const bytes = Buffer.from(whole.subarray(at, at + 4));
        if (random(2) === 0) bytes[0] = random(256);
        else bytes.writeUInt32LE([0, 1, 0xffff_ffff, 0x7fff_ffff, random(2 ** 31)][random(5)] as number, 0);
        return { at, bytes };
      });
      for (const { at, bytes } of changes) writeSync(file, bytes, 0, bytes.length, at);
      const scratch = new ContentStore(directory);
      try {
        const found = readExt4(image, scratch, { limits: { bytes: 2 ** 33 } });
        expect(placesOf(found).length).toBeLessThan(100_000);
        expect(scratch.position).toBeLessThanOrEqual(whole.length);
        read++;
      } catch (error) {
        if (!(error instanceof UruncError)) throw error;
        expect(error.code).toBe("file-system");
        expect(error.message).not.toContain("cannot read");
        sentences.add(error.message.replace(/[0-9]+|0x[0-9a-f]+/g, "N"));
      } finally {
        scratch.close();
      }
      for (const { at } of changes) writeSync(file, whole, at, 4, at);
    }
  } finally {
    closeSync(file);
  }
  expect(read).toBeGreaterThan(50);
  expect(sentences.size).toBeGreaterThan(10);
}, 30_000);
