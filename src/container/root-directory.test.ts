import { afterEach, beforeEach, expect, test } from "bun:test";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { containerRootfs, makeMountPoint, resolveMountPoint } from "./root-directory.ts";

let outside: string;
let root: string;

beforeEach(() => {
  outside = mkdtempSync(join(tmpdir(), "urunc root "));
  root = join(outside, "rootfs");
  mkdirSync(root);
});

afterEach(() => rmSync(outside, { recursive: true }));

function descriptors(): number {
  return readdirSync("/proc/self/fd").length;
}

test("a mount point is made with its parents, and made again without harm", () => {
  makeMountPoint(root, "/a/b/c", true);
  makeMountPoint(root, "/a/b/c", true);
  expect(statSync(join(root, "a/b/c")).isDirectory()).toBe(true);
});

test("a file's mount point is an empty file, and a file that is there keeps its content", () => {
  writeFileSync(join(root, "kept"), "content");
  makeMountPoint(root, "/etc/resolv.conf", false);
  makeMountPoint(root, "/kept", false);
  expect(statSync(join(root, "etc/resolv.conf")).size).toBe(0);
  expect(statSync(join(root, "kept")).size).toBe(7);
});

test("links are followed inside the root, so that none leads out", () => {
  symlinkSync("/", join(root, "absolute"));
  symlinkSync("../../../..", join(root, "upwards"));
  symlinkSync("/made/here", join(root, "dangling"));
  makeMountPoint(root, "/absolute/one", true);
  makeMountPoint(root, "/upwards/two", true);
  makeMountPoint(root, "/dangling/three", true);
  makeMountPoint(root, "../../four", true);
  expect(readdirSync(root).sort()).toEqual(["absolute", "dangling", "four", "made", "one", "two", "upwards"]);
  expect(existsSync(join(root, "made/here/three"))).toBe(true);
  expect(readdirSync(outside)).toEqual(["rootfs"]);
});

test("the place of a mount point is what its links lead to", () => {
  symlinkSync("/run", join(root, "var"));
  expect(resolveMountPoint(root, "/var/x/y", false)).toBe("/run/x/y");
  expect(resolveMountPoint(root, "/plain", true)).toBe("/plain");
  for (const itself of ["/", "/var/..", "/plain/../."]) {
    expect(() => resolveMountPoint(root, itself, true)).toThrow("it is the root itself");
  }
});

test("links in a circle end in a sentence, and no descriptor stays open", () => {
  symlinkSync("b", join(root, "a"));
  symlinkSync("a", join(root, "b"));
  const before = descriptors();
  expect(() => makeMountPoint(root, "/a/x", true)).toThrow("leads through more than 40 links");
  expect(descriptors()).toBe(before);
});

test("a file in the way of a directory is named, not replaced", () => {
  writeFileSync(join(root, "file"), "");
  expect(() => makeMountPoint(root, "/file/x", true)).toThrow("the mount point /file/x cannot be made");
});

test("the root file system is relative to the bundle, and must be a directory", () => {
  expect(containerRootfs(outside, "rootfs")).toBe(root);
  expect(containerRootfs("/elsewhere", root)).toBe(root);
  writeFileSync(join(outside, "file"), "");
  expect(() => containerRootfs(outside, "missing")).toThrow("does not exist");
  expect(() => containerRootfs(outside, "file")).toThrow("is not a directory");
});
