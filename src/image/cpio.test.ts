import { afterAll, describe, expect, test } from "bun:test";
import { lstatSync, mkdtempSync, readFileSync, readlinkSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type CpioEntry, writeCpio } from "./cpio.ts";
import { buildInitramfs } from "./initramfs.ts";

const directory = mkdtempSync(join(tmpdir(), "urunc-cpio-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

function cpio(args: string[], archive: Uint8Array): string {
  const run = Bun.spawnSync(["cpio", "--quiet", ...args], {
    stdin: archive,
    cwd: directory,
    env: { ...process.env, TZ: "UTC", LC_ALL: "C" },
  });
  expect(run.stderr.toString()).toBe("");
  expect(run.exitCode).toBe(0);
  return run.stdout.toString();
}

/** Every length of name and content that is padded differently. */
const files: CpioEntry[] = [0, 1, 2, 3, 4, 5, 1000].map((size) => ({
  type: "file",
  path: `directory/${"x".repeat(size % 5)}-${size}`,
  mode: 0o640,
  data: Buffer.alloc(size, size),
}));

const entries: CpioEntry[] = [
  { type: "directory", path: "directory", mode: 0o1777 },
  ...files,
  { type: "link", path: "directory/link", mode: 0o777, target: "../somewhere/ä" },
];

test("cpio lists and unpacks what was written", () => {
  const archive = writeCpio(entries);
  expect(cpio(["-it"], archive).split("\n").slice(0, -1)).toEqual(entries.map((entry) => entry.path));
  cpio(["-idm", "--no-preserve-owner"], archive);
  expect(lstatSync(join(directory, "directory")).mode & 0o7777).toBe(0o1777);
  for (const entry of files) {
    const path = join(directory, entry.path);
    expect(entry.type === "file" && readFileSync(path).equals(entry.data)).toBe(true);
    expect(lstatSync(path).mode).toBe(0o100640);
    expect(lstatSync(path).mtimeMs).toBe(0);
  }
  expect(readlinkSync(join(directory, "directory/link"))).toBe("../somewhere/ä");
});

test("owners and devices", () => {
  const listing = cpio(
    ["-itvn"],
    writeCpio([
      { type: "block", path: "disk", mode: 0o660, gid: 6, major: 254, minor: 300 },
      { type: "file", path: "file", mode: 0o4755, uid: 70000, gid: 1, data: Buffer.from("abc") },
    ]),
  );
  expect(listing.split("\n").map((line) => line.replace(/\s+/g, " "))).toEqual([
    "brw-rw---- 1 0 6 254, 300 Jan 1 1970 disk",
    "-rwsr-xr-x 1 70000 1 3 Jan 1 1970 file",
    "",
  ]);
});

test("the same entries give the same bytes, in blocks of four", () => {
  expect(writeCpio(entries)).toEqual(writeCpio(structuredClone(entries)));
  expect(writeCpio(entries).length % 4).toBe(0);
});

test("no entries are an archive too", () => {
  expect(cpio(["-it"], writeCpio([]))).toBe("");
});

describe("refused", () => {
  const cases: [string, CpioEntry][] = [
    ...[
      "",
      "/a",
      "a/",
      "a//b",
      "..",
      "../a",
      "a/../b",
      ".",
      "./a",
      "a\0b",
      "TRAILER!!!",
      "a".repeat(4096),
    ].map((path): [string, CpioEntry] => [
      `path ${JSON.stringify(path.slice(0, 12))}`,
      { type: "directory", path, mode: 0o755 },
    ]),
    ["kind of file in the mode", { type: "directory", path: "a", mode: 0o40755 }],
    ["negative owner", { type: "directory", path: "a", mode: 0o755, uid: -1 }],
    ["large minor number", { type: "block", path: "a", mode: 0o600, major: 1, minor: 2 ** 32 }],
    ["empty target", { type: "link", path: "a", mode: 0o777, target: "" }],
  ];
  test.each(cases)("%s", (_, entry) => {
    expect(() => writeCpio([entry])).toThrow("the archive's entry");
  });
  test("the same path twice", () => {
    const entry: CpioEntry = { type: "directory", path: "a", mode: 0o755 };
    expect(() => writeCpio([entry, entry])).toThrow("is there twice");
  });
});

test("the guest's first root", () => {
  const urunit = Buffer.from("\x7fELF agent");
  const archive = buildInitramfs({ urunit });
  const listing = cpio(["-itvn"], archive).split("\n");
  expect(listing.find((line) => line.endsWith(" init"))).toMatch(/^-rwxr-xr-x +1 0 +0 +10 /);
  expect(listing.find((line) => line.endsWith(" dev/console"))).toMatch(/^crw------- .* 5, +1 /);
  expect(listing.find((line) => line.endsWith(" dev/null"))).toMatch(/^crw-rw-rw- .* 1, +3 /);
  for (const name of ["dev", "mnt", "proc", "run", "sys"]) {
    expect(listing.find((line) => line.endsWith(` ${name}`))).toStartWith("drwxr-xr-x");
  }
});
