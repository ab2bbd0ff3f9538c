import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ContentStore } from "../layers/content.ts";
import { type Directory, type Inode, plainDirectory } from "../layers/tree.ts";
import { writeInitrd } from "./initrd.ts";

const store = new ContentStore();
const directory = mkdtempSync(join(tmpdir(), "urunc-initrd-"));
afterAll(() => {
  store.close();
  rmSync(directory, { recursive: true });
});

function archive(tree: Directory): Buffer {
  const path = join(directory, "initrd");
  writeInitrd(tree, store, path);
  return readFileSync(path);
}

function file(size: number): Inode {
  return { ...plainDirectory(), kind: "file", mode: 0o644, content: { size, runs: [] } };
}

/** The fields of each header: inode number, links, time and size, and the name. */
function headers(bytes: Buffer): [number, number, number, number, string][] {
  const found: ReturnType<typeof headers> = [];
  for (let offset = 0; offset < bytes.length; ) {
    const field = (index: number) =>
      Number.parseInt(bytes.toString("latin1", offset + 6 + index * 8, offset + 14 + index * 8), 16);
    const name = bytes.toString("latin1", offset + 110, offset + 110 + field(11) - 1);
    found.push([field(0), field(4), field(5), field(6), name]);
    offset += ((110 + field(11) + 3) & ~3) + ((field(6) + 3) & ~3);
  }
  return found;
}

test("hard links have one number, and the data is with the first name", () => {
  const tree = plainDirectory();
  const shared = { ...file(5), mtime: { seconds: 77, nanoseconds: 5 } };
  tree.children.set("z", shared);
  tree.children.set("a", shared);
  expect(headers(archive(tree))).toEqual([
    [1, 2, 0, 0, "."],
    [2, 2, 77, 5, "a"],
    [2, 2, 77, 0, "z"],
    [0, 1, 0, 0, "TRAILER!!!"],
  ]);
});

test("times become the nearest that the format has", () => {
  const tree = plainDirectory();
  for (const [name, seconds] of [
    ["early", -5],
    ["late", 2 ** 33],
  ] as const) {
    tree.children.set(name, { ...file(0), mtime: { seconds, nanoseconds: 1 } });
  }
  expect(headers(archive(tree)).map(([, , time, , name]) => [name, time])).toContainEqual(["early", 0]);
  expect(headers(archive(tree)).map(([, , time, , name]) => [name, time])).toContainEqual([
    "late",
    0xffff_ffff,
  ]);
});

test("a file of 4 GiB and a path longer than Linux unpacks are refused", () => {
  const large = plainDirectory();
  large.children.set("large", file(2 ** 32));
  expect(() => archive(large)).toThrow('an initrd (cpio) cannot hold "large": it has 4294967296 bytes');
  const deep = plainDirectory();
  let below = deep;
  for (let depth = 0; depth < 17; depth++) {
    const next = plainDirectory();
    below.children.set("n".repeat(250), next);
    below = next;
  }
  expect(() => archive(deep)).toThrow("its path is longer than 4095 bytes");
});
