import { afterAll, expect, test } from "bun:test";
import { chmodSync, chownSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { givenRoot } from "./given.ts";
import { machineDisks } from "./source.ts";
import { fileSystemOf, SUPERBLOCK_END } from "./superblock.ts";

const directory = mkdtempSync(join(tmpdir(), "urunc-given-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const LOWER = "com.urunc.root.lower";
const UPPER = "com.urunc.root.upper";

function superblock(kind: "erofs" | "ext4"): Buffer {
  const start = Buffer.alloc(SUPERBLOCK_END);
  if (kind === "erofs") start.writeUInt32LE(0xe0f5e1e2, 1024);
  else start.writeUInt16LE(0xef53, 1024 + 56);
  return start;
}

function make(name: string, content: Buffer, mode = 0o644): string {
  const path = join(directory, name);
  writeFileSync(path, content);
  chmodSync(path, mode);
  return path;
}

const lower = make("lower", superblock("erofs"));
const upper = make("upper", superblock("ext4"), 0o600);

test("a file system is known by its superblock", () => {
  expect(fileSystemOf(superblock("erofs"))).toBe("erofs");
  expect(fileSystemOf(superblock("ext4"))).toBe("ext4");
  expect(fileSystemOf(Buffer.alloc(SUPERBLOCK_END))).toBeUndefined();
  expect(fileSystemOf(superblock("ext4").subarray(0, 1100))).toBeUndefined();
});

test("other annotations give no root", () => {
  expect(givenRoot({})).toBeUndefined();
  expect(givenRoot({ "com.urunc.unikernel.hypervisor": "qemu", "com.urunc.rootless": "x" })).toBeUndefined();
});

test("the lower file is read-only, and the upper one is memory unless it is a file", () => {
  const inMemory = givenRoot({ [LOWER]: lower });
  expect(inMemory).toEqual({
    kind: "overlay",
    lower: { path: lower, type: "erofs" },
    upper: { kind: "tmpfs" },
  });
  expect(givenRoot({ [LOWER]: lower, [UPPER]: "tmpfs" })).toEqual(inMemory);
  const onDisk = givenRoot({ [LOWER]: upper, [UPPER]: upper });
  expect(onDisk).toMatchObject({ lower: { type: "ext4" }, upper: { kind: "file", path: upper } });
  expect(machineDisks({ root: onDisk ?? { kind: "share" } })).toEqual([
    { path: upper, serial: "lower", readOnly: true },
    { path: upper, serial: "upper", readOnly: false },
  ]);
});

test("a link is resolved once", () => {
  const link = join(directory, "link");
  symlinkSync("lower", link);
  expect(givenRoot({ [LOWER]: link })).toMatchObject({ lower: { path: lower } });
});

test("what the monitor could not open is refused", () => {
  if (process.getuid?.() !== 0) return;
  const others = make("others", superblock("ext4"), 0o640);
  chownSync(others, 1000, 1000);
  expect(() => givenRoot({ [LOWER]: others })).toThrow("chmod u+r the file");
  chownSync(others, 1000, 0);
  expect(givenRoot({ [LOWER]: others })).toBeDefined();
  expect(() => givenRoot({ [LOWER]: lower, [UPPER]: others })).toThrow("chmod u+rw the file");
});

test.each([
  [{ [LOWER]: "lower" }, "must be an absolute path"],
  [{ [LOWER]: `${directory}/./lower` }, "must be an absolute path"],
  [{ [LOWER]: `${directory}/missing` }, "cannot be looked at"],
  [{ [LOWER]: directory }, "is not a regular file"],
  [{ [LOWER]: "/dev/null" }, "is not a regular file"],
  [{ [LOWER]: make("empty", Buffer.alloc(0)) }, "neither an EROFS nor an ext4"],
  [{ [LOWER]: lower, [UPPER]: lower }, "holds no ext4"],
  [{ [UPPER]: "tmpfs" }, `needs ${LOWER}`],
  [{ [LOWER]: lower, "com.urunc.root.uper": "tmpfs" }, "com.urunc.root.uper is unknown"],
])("%p is refused", (annotations, sentence) => {
  expect(() => givenRoot(annotations)).toThrow(sentence);
});
