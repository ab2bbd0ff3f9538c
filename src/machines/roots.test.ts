import { afterEach, beforeEach, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, utimesSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { ContentStore } from "../image/layers/content.ts";
import { tarOfTree } from "../image/layers/tar-writer.ts";
import { type Directory, plainDirectory } from "../image/layers/tree.ts";
import type { Descriptor } from "../image/spec/manifest.ts";
import { fileSystemIn } from "../rootfs/superblock.ts";
import { addMountPoint } from "./mount-point.ts";
import { layersOfStore, openRoot } from "./roots.ts";

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "urunc-roots-"));
});
afterEach(() => rmSync(directory, { recursive: true }));

/** A layer whose `/etc/passwd` is this text. */
function layer(text: string): { descriptor: Descriptor; bytes: Uint8Array } {
  const store = new ContentStore();
  const bytes = Buffer.from(text);
  store.append(bytes);
  const common = { mode: 0o644, uid: 0, gid: 0, mtime: { seconds: 0, nanoseconds: 0 }, xattrs: new Map() };
  const etc: Directory = plainDirectory();
  const runs = [{ at: 0, position: 0, length: bytes.length }];
  etc.children.set("passwd", { kind: "file", ...common, content: { size: bytes.length, runs } });
  const root = plainDirectory();
  root.children.set("etc", etc);
  const tar = Buffer.concat([...tarOfTree(root, store)].map((part) => Buffer.from(part)));
  store.close();
  const digest = `sha256:${new Bun.CryptoHasher("sha256").update(tar).digest("hex")}`;
  return {
    descriptor: { mediaType: "application/vnd.oci.image.layer.v1.tar", digest, size: tar.length },
    bytes: tar,
  };
}

let opened = 0;
function open(text: string, most?: number) {
  const { descriptor, bytes } = layer(text);
  const read = async function* () {
    opened++;
    await Bun.sleep(20);
    yield bytes;
  };
  return openRoot(directory, layersOfStore(directory, [descriptor], read), most);
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
  const { descriptor } = layer("x");
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
  const { descriptor, bytes } = layer("x");
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
