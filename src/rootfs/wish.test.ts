import { expect, test } from "bun:test";
import { IMAGE_PREFIX, imageWish } from "./wish.ts";

const base64 = (text: string) => Buffer.from(text).toString("base64");

function prefixed(values: Record<string, string>, change = (value: string) => value): Record<string, string> {
  return Object.fromEntries(
    Object.entries(values).map(([key, value]) => [IMAGE_PREFIX + key, change(value)]),
  );
}

const BLOCK = {
  unikernelType: "linux",
  hypervisor: "firecracker",
  binary: "/.boot/kernel",
  cmdline: "/urunit /usr/sbin/nginx -g 'daemon off;'",
  block: "/.boot/rootfs",
  blkMntPoint: "/",
};
const WISH = {
  type: "linux",
  commandLine: "/urunit /usr/sbin/nginx -g 'daemon off;'",
  hypervisor: "firecracker",
  kernel: "/.boot/kernel",
  block: { path: "/.boot/rootfs", mountPoint: "/" },
  mountRootfs: false,
};

test("the image's file and the bundle's annotations say the same, in base64 and without", () => {
  expect(imageWish(prefixed(BLOCK))).toEqual(WISH);
  expect(imageWish(prefixed(BLOCK, base64))).toEqual(WISH);
  expect(imageWish({}, JSON.stringify(prefixed(BLOCK)))).toEqual(WISH);
  expect(imageWish({}, JSON.stringify(prefixed(BLOCK, base64)))).toEqual(WISH);
});

test("the way to be started is one of two words", () => {
  expect(imageWish(prefixed({ boot: "direct" }))?.boot).toBe("direct");
  expect(imageWish(prefixed({ boot: "agent" }, base64))?.boot).toBe("agent");
  expect(() => imageWish(prefixed({ boot: "fast" }))).toThrow("must be agent or direct");
});

test("the bundle goes before the image", () => {
  const file = JSON.stringify(prefixed(BLOCK, base64));
  expect(imageWish(prefixed({ hypervisor: "qemu" }), file)).toEqual({ ...WISH, hypervisor: "qemu" });
});

test("words and paths that happen to be base64 stay as they are", () => {
  for (const hypervisor of ["qemu", "kvmtool", "hvtx"]) {
    expect(imageWish(prefixed({ hypervisor }))?.hypervisor).toBe(hypervisor);
  }
  expect(imageWish(prefixed({ binary: "/boot/vm" }))?.kernel).toBe("/boot/vm");
  expect(imageWish(prefixed({ binary: "boot/kernel" }))?.kernel).toBe("/boot/kernel");
});

test("who asks for nothing has no wish", () => {
  expect(imageWish({ a: "b", "com.urunc.root.lower": "/x" })).toBeUndefined();
  expect(imageWish({}, JSON.stringify({ other: "x" }))).toBeUndefined();
  expect(imageWish(prefixed({ binary: "" }))).toBeUndefined();
});

test("nothing of the file names a file of the host's", () => {
  const file = JSON.stringify({ "com.urunc.root.lower": "/etc/shadow", "com.urunc.root.upper": "/dev/sda" });
  expect(imageWish({}, file)).toBeUndefined();
});

test("a block image is the root, unless it has a place or the container's own root is wanted", () => {
  expect(imageWish(prefixed({ block: "/b" }))?.block?.mountPoint).toBe("/");
  expect(imageWish(prefixed({ block: "/b", blkMntPoint: "/data" }))?.block?.mountPoint).toBe("/data");
  expect(imageWish(prefixed({ block: "/b", mountRootfs: "true" }))?.block).toBeUndefined();
});

test.each([
  ["{", "is not JSON"],
  ["[]", "is not an object of strings"],
  ["null", "is not an object of strings"],
  ['{"a": 1}', "is not an object of strings"],
  ["x".repeat(65_536), "has 65536 bytes or more"],
])("the file %p is refused", (file, sentence) => {
  expect(() => imageWish({}, file.slice(0, 70_000))).toThrow(sentence);
});

test.each([
  "/../etc/passwd",
  "/a/./b",
  "../kernel",
  "/a b",
  "/a,readonly=off",
  "/a\u0000b",
  `/${"a".repeat(4096)}`,
])("the path %p is refused", (path) => {
  expect(() => imageWish(prefixed({ binary: path }))).toThrow("it must be a path of at most 4096");
  expect(() => imageWish(prefixed({ binary: base64(path) }))).toThrow(/must be a path|annotation/);
});

test("more roots than one are refused", () => {
  const both = prefixed({ block: "/b", blkMntPoint: "/", initrd: "/i" });
  expect(() => imageWish(both)).toThrow("2 root file systems, block (with blkMntPoint=/) and initrd:");
  expect(() => imageWish(prefixed({ initrd: "/i", mountRootfs: "true" }))).toThrow("2 root file systems");
});

test("the container's own root is wished as a disk by either annotation", () => {
  const wish = (key: string, value: string) => imageWish({ [`com.urunc.unikernel.${key}`]: value });
  expect(wish("mountRootfs", "true")).toMatchObject({ mountRootfs: true, asksForDisk: true });
  expect(wish("useDMBlock", Buffer.from("true").toString("base64"))).toMatchObject({ asksForDisk: true });
  expect(wish("useDMBlock", "false")?.asksForDisk).toBeUndefined();
});
