import { afterEach, beforeEach, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, utimesSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { ContentStore } from "../image/layers/content.ts";
import { makeDirectory } from "../image/layers/lookup.ts";
import { tarOfTree } from "../image/layers/tar-writer.ts";
import { type Directory, plainDirectory } from "../image/layers/tree.ts";
import type { Descriptor } from "../image/spec/manifest.ts";
import { fileSystemIn } from "../rootfs/superblock.ts";
import { addMountPoint } from "./mount-point.ts";
import { layersOfStore, openRoot, type Root } from "./roots.ts";

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "urunc-roots-"));
});
afterEach(() => rmSync(directory, { recursive: true }));

/** A layer of files by their paths. */
function layer(files: Record<string, string>): { descriptor: Descriptor; bytes: Uint8Array } {
  const store = new ContentStore();
  const common = { mode: 0o644, uid: 0, gid: 0, mtime: { seconds: 0, nanoseconds: 0 }, xattrs: new Map() };
  const root = plainDirectory();
  for (const [path, text] of Object.entries(files)) {
    const bytes = Buffer.from(text);
    const runs = [{ at: 0, position: store.position, length: bytes.length }];
    store.append(bytes);
    const parent = makeDirectory(root, dirname(path).split("/"), path).directory;
    parent.children.set(basename(path), { kind: "file", ...common, content: { size: bytes.length, runs } });
  }
  const tar = Buffer.concat([...tarOfTree(root, store)].map((part) => Buffer.from(part)));
  store.close();
  const digest = `sha256:${new Bun.CryptoHasher("sha256").update(tar).digest("hex")}`;
  return {
    descriptor: { mediaType: "application/vnd.oci.image.layer.v1.tar", digest, size: tar.length },
    bytes: tar,
  };
}

let opened = 0;
function openFiles(files: Record<string, string>, annotations: Record<string, string> = {}, most?: number) {
  const { descriptor, bytes } = layer(files);
  const read = async function* () {
    opened++;
    await Bun.sleep(20);
    yield bytes;
  };
  return openRoot(directory, { ...layersOfStore(directory, [descriptor], read), annotations }, most);
}

/** Of an image that brings nothing, whose `/etc/passwd` is this text. */
async function open(passwd: string, most?: number) {
  const root = await openFiles({ "etc/passwd": passwd }, {}, most);
  expect(root.brought).toBeUndefined();
  return root;
}

test("a root is made once, however many ask, and found afterwards", async () => {
  opened = 0;
  const roots = await Promise.all(Array.from({ length: 8 }, () => open("root:x:0:0::/:/bin/sh\n")));
  expect(opened).toBe(1);
  expect(new Set(roots.map(({ path }) => path)).size).toBe(1);
  for (const root of roots) root.release();
  const again = await open("root:x:0:0::/:/bin/sh\n");
  expect(again.made).toBe(false);
  expect(again.accounts).toEqual({ passwd: "root:x:0:0::/:/bin/sh\n", group: "" });
  expect(fileSystemIn(again.path)).toBe("erofs");
  again.release();
});

test("one that cannot be made leaves nothing, and the next try is a new one", async () => {
  const { descriptor } = layer({ x: "x" });
  const broken = async function* () {
    yield Buffer.from("no tar at all".repeat(100));
  };
  await expect(openRoot(directory, layersOfStore(directory, [descriptor], broken))).rejects.toThrow(
    "layer 1 of 1",
  );
  const files = readdirSync(directory).flatMap((name) => readdirSync(join(directory, name)));
  expect(files).toEqual([]);
  (await open("x")).release();
});

test("what was not used for longest goes when there is too much, but not what is in use", async () => {
  const [first, second] = [await open("first"), await open("second")];
  const size = statSync(first.path).blocks * 512;
  first.release();
  second.release();
  const past = new Date(1_000_000);
  utimesSync(join(dirname(second.path), "accounts.json"), past, past);
  // Used last, and by somebody still.
  const used = await open("first");
  const third = await open("third", size);
  expect(existsSync(second.path)).toBe(false);
  expect(existsSync(used.path)).toBe(true);
  expect(readFileSync(third.path).length).toBeGreaterThan(0);
  used.release();
  third.release();
  (await open("fourth", size)).release();
  expect(existsSync(used.path)).toBe(false);
});

test("what every machine mounts over is there, and what is there already stays", async () => {
  const { descriptor, bytes } = layer({ "etc/passwd": "x" });
  const parts = layersOfStore(directory, [descriptor], async function* () {
    yield bytes;
  });
  const unpacked = await parts.unpack();
  const kept = { ...parts, unpack: async () => ({ ...unpacked, close() {} }) };
  const added: string[] = [];
  const root = await openRoot(directory, {
    ...kept,
    more: {
      key: "more",
      add(tree) {
        tree.children.set("link", { ...plainDirectory(), kind: "link", target: "/etc" });
        addMountPoint(tree, { path: "/link/../srv/a/b", kind: "directory" });
        addMountPoint(tree, { path: "/link/passwd/none", kind: "directory" });
        added.push(...tree.children.keys());
      },
    },
  });
  expect(added).toEqual(["etc", "link", "srv"]);
  const other = await openRoot(directory, kept);
  expect(other.path).not.toBe(root.path);
  // Whoever unpacked the files has them as they were.
  expect([...unpacked.tree.children.keys()]).toEqual(["etc"]);
  expect([...(unpacked.tree.children.get("etc") as Directory).children.keys()]).toEqual(["passwd"]);
  const image = readFileSync(other.path);
  for (const name of ["hostname", "hosts", "resolv.conf", "proc", "sys"])
    expect(image.includes(name)).toBe(true);
  root.release();
  other.release();
  unpacked.close();
});

const PREFIX = "com.urunc.unikernel.";

test("what an image brings is beside its file system, or in its place", async () => {
  const files = {
    "boot/vmlinux": "kernel",
    "boot/config": "options",
    "boot/root": "block",
    "etc/passwd": "x",
  };
  const kernel = { [`${PREFIX}binary`]: "/boot/vmlinux" };
  const raw = await openFiles({ ...files, "urunc.json": JSON.stringify(kernel) });
  const listed = (root: Root) => readdirSync(root.brought as string, { recursive: true }).sort();
  expect(listed(raw)).toEqual(["boot", "boot/config", "boot/vmlinux", "urunc.json"]);
  expect(readFileSync(join(raw.brought as string, "boot/vmlinux"), "utf8")).toBe("kernel");
  // Nothing is known of this kernel: what it boots is written to.
  expect(fileSystemIn(raw.path)).toBe("ext4");
  const block = await openFiles(files, { [`${PREFIX}block`]: "/boot/root" });
  expect(listed(block)).toEqual(["boot", "boot/root"]);
  expect(existsSync(block.path)).toBe(false);
  // The same layers, of which another image says nothing.
  const plain = await openFiles(files);
  expect(plain.brought).toBeUndefined();
  expect(fileSystemIn(plain.path)).toBe("erofs");
  for (const root of [raw, block, plain]) root.release();
});

test("what an image names and does not have, or has as something else, is not there", async () => {
  const root = await openFiles({ "dir/file": "x" }, { [`${PREFIX}initrd`]: "/dir" });
  expect(readdirSync(root.brought as string)).toEqual([]);
  root.release();
  const kernel = { [`${PREFIX}binary`]: "/no" };
  await expect(openFiles({ "dir/file": "x" }, kernel)).rejects.toThrow("there is no such file in it");
});

test("an image that contradicts itself is refused, and nothing of it is kept", async () => {
  const two = { [`${PREFIX}block`]: "/a", [`${PREFIX}initrd`]: "/b" };
  await expect(openFiles({ a: "x", b: "y" }, two)).rejects.toThrow("2 root file systems");
  await expect(openFiles({ "urunc.json": "[" })).rejects.toThrow("is not JSON");
  await expect(openFiles({ "urunc.json": " ".repeat(70_000) })).rejects.toThrow("annotations are shorter");
  const left = readdirSync(directory).flatMap((name) => readdirSync(join(directory, name)));
  expect(left).toEqual([]);
});
