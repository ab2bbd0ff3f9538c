import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { ContentStore } from "../image/layers/content.ts";
import { treeOfLayers } from "../image/layers/layers.ts";
import { type Directory, type Inode, plainDirectory } from "../image/layers/tree.ts";
import { digestOf } from "../image/spec/digest.ts";
import { parseImageConfig } from "../image/spec/image-config.ts";
import { parseManifest } from "../image/spec/manifest.ts";
import { OCI_INDEX, OCI_MANIFEST } from "../image/spec/media-type.ts";
import { parseReference } from "../image/spec/reference.ts";
import { Layout } from "../image/store/layout.ts";
import { resolveBase } from "./base.ts";
import { type LayerEntry, plainMetadata } from "./entry.ts";
import { writeImage, writeIndex } from "./image.ts";
import { writeLayer } from "./layer.ts";

let directory: string;
let layout: Layout;
let contents: ContentStore;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "bunny-build-"));
  layout = Layout.openOrCreate(join(directory, "store"));
  contents = new ContentStore(directory);
});
afterEach(() => {
  contents.close();
  rmSync(directory, { recursive: true });
});

const bytes = (path: string, text: string): LayerEntry => ({
  kind: "bytes",
  path,
  metadata: plainMetadata(0o644),
  bytes: Buffer.from(text),
});

function kept(text: string): Inode & { kind: "file" } {
  const content = { size: text.length, runs: [{ at: 0, position: contents.position, length: text.length }] };
  contents.append(Buffer.from(text));
  const mtime = { seconds: 2_000_000_000, nanoseconds: 7 };
  const xattrs = new Map([["security.capability", Uint8Array.of(1, 0, 0, 2, 255, 10)]]);
  return { ...plainMetadata(0o4755), kind: "file", mtime, xattrs, content };
}

async function applied(...layers: LayerEntry[][]): Promise<Directory> {
  const blobs: AsyncIterable<Uint8Array>[] = [];
  for (const entries of layers) {
    blobs.push(layout.open((await writeLayer(layout, entries, { contents })).descriptor));
  }
  return treeOfLayers(blobs, contents);
}

const at = (tree: Directory, path: string) =>
  path.split("/").reduce<Inode | undefined>((inode, name) => (inode as Directory).children.get(name), tree);

test("a layer gives back what was put in, and says the digests of its bytes", async () => {
  const file = kept("content");
  const host = join(directory, "host");
  writeFileSync(host, "x".repeat(700_000));
  const entries: LayerEntry[] = [
    { kind: "inode", path: "", inode: { ...plainDirectory(), mode: 0o711 } },
    { kind: "inode", path: "tmp", inode: { ...plainDirectory(), mode: 0o1777 } },
    { kind: "inode", path: "tmp/file", inode: file },
    { kind: "inode", path: "tmp/again", inode: file },
    { kind: "inode", path: "link", inode: { ...plainMetadata(0o777), kind: "link", target: "tmp/file" } },
    {
      kind: "inode",
      path: "null",
      inode: { ...plainMetadata(0o666), kind: "character", major: 1, minor: 3 },
    },
    { kind: "host-file", path: ".boot/kernel", metadata: plainMetadata(0o600), source: host, size: 700_000 },
    bytes("text", "text"),
  ];
  const built = await writeLayer(layout, entries, { contents });
  const blob = readFileSync(layout.blobPath(built.descriptor.digest));
  expect(built.descriptor.digest).toBe(digestOf(blob));
  expect(built.descriptor.size).toBe(blob.length);
  expect(built.diffId).toBe(digestOf(gunzipSync(blob)));
  expect(await writeLayer(layout, entries, { contents })).toEqual(built);

  const tree = await applied(entries);
  expect(tree.mode).toBe(0o711);
  expect(at(tree, "tmp/file")).toMatchObject({ kind: "file", mode: file.mode, mtime: file.mtime });
  expect(at(tree, "tmp/file")?.xattrs.get("security.capability")).toEqual(Uint8Array.of(1, 0, 0, 2, 255, 10));
  expect(at(tree, "tmp/again")).toBe(at(tree, "tmp/file") as Inode);
  expect(at(tree, "link")).toMatchObject({ kind: "link", target: "tmp/file" });
  expect(at(tree, "null")).toMatchObject({ kind: "character", major: 1, minor: 3 });
  expect(at(tree, ".boot/kernel")).toMatchObject({ content: { size: 700_000 } });
});

test("whiteouts and opaque directories hide what lower layers have", async () => {
  const directoryAt = (path: string): LayerEntry => ({ kind: "inode", path, inode: plainDirectory() });
  const lower = [
    directoryAt("a"),
    bytes("a/one", "1"),
    directoryAt("b"),
    bytes("b/one", "1"),
    bytes("c", "1"),
  ];
  const upper: LayerEntry[] = [
    { kind: "opaque", path: "a" },
    bytes("a/two", "2"),
    { kind: "whiteout", path: "b/one" },
    { kind: "whiteout", path: "c" },
  ];
  const tree = await applied(lower, upper);
  expect([...(at(tree, "a") as Directory).children.keys()]).toEqual(["two"]);
  expect((at(tree, "b") as Directory).children.size).toBe(0);
  expect(at(tree, "c")).toBeUndefined();
});

test("no file is newer than the time that is given", async () => {
  const old = { ...plainMetadata(0o644), kind: "fifo" as const, mtime: { seconds: 5, nanoseconds: 1 } };
  const entries: LayerEntry[] = [
    { kind: "inode", path: "new", inode: kept("") },
    { kind: "inode", path: "old", inode: old },
  ];
  const built = await writeLayer(layout, entries, { contents, time: 1_000_000_000 });
  const tree = await treeOfLayers([layout.open(built.descriptor)], contents);
  expect(at(tree, "new")?.mtime).toEqual({ seconds: 1_000_000_000, nanoseconds: 0 });
  expect(at(tree, "old")?.mtime).toEqual({ seconds: 5, nanoseconds: 1 });
});

test("a layer that cannot be written leaves nothing in the store", async () => {
  const host = join(directory, "host");
  writeFileSync(host, "four");
  const file = (size: number, source = host): LayerEntry => ({
    kind: "host-file",
    path: "file",
    metadata: plainMetadata(0o644),
    source,
    size,
  });
  const controller = new AbortController();
  controller.abort(new Error("interrupted"));
  for (const [entry, why, signal] of [
    [file(3), "changed while it was read"],
    [file(5), "changed while it was read"],
    [file(4, join(directory, "none")), "cannot read"],
    [bytes("a/.wh.b", ""), "mean in a layer that something is removed"],
    [bytes("../a", ""), "is not relative"],
    [bytes("a", "a"), "interrupted", controller.signal],
  ] as const) {
    await expect(writeLayer(layout, [entry], { ...(signal ? { signal } : {}) })).rejects.toThrow(why);
  }
  expect(readdirSync(layout.directory).sort()).toEqual(["blobs", "oci-layout"]);
  expect(readdirSync(join(layout.directory, "blobs/sha256"))).toEqual([]);
});

test("an image can be built on, and keeps what its configuration has", async () => {
  const layer = await writeLayer(layout, [bytes("a", "a")]);
  const config = {
    created: "1970-01-01T00:00:00Z",
    config: { Env: ["A=1"], Healthcheck: { Test: ["NONE"] } },
    history: [{ created_by: "one" }],
    architecture: "other",
  };
  const platform = { os: "linux", architecture: "amd64" };
  const parts = { config, layers: [layer], annotations: { key: "value" }, platform };
  const image = await writeImage(layout, parts);
  expect(await writeImage(layout, parts)).toEqual(image);
  const manifest = parseManifest(await layout.manifestBytes(image), "it");
  expect(manifest).toMatchObject({
    kind: "manifest",
    mediaType: OCI_MANIFEST,
    annotations: { key: "value" },
  });
  const arm = await writeImage(layout, { ...parts, platform: { os: "linux", architecture: "arm64" } });
  const index = await writeIndex(layout, [
    { descriptor: image, platform },
    { descriptor: arm, platform: { os: "linux", architecture: "arm64" } },
  ]);
  expect(index.mediaType).toBe(OCI_INDEX);
  await layout.add(index, "docker.io/library/app:1");

  const access = {
    store: () => layout,
    registry: {
      configuration: { registries: new Map() },
      credentials: async () => undefined,
    },
    environment: {},
  } as never;
  const base = await resolveBase(parseReference("app:1"), platform, layout, access);
  expect(base.descriptor).toMatchObject(image);
  expect(base.layers).toEqual([{ descriptor: { ...layer.descriptor }, diffId: layer.diffId }]);
  expect(base.config).toMatchObject({ config: config.config, history: config.history });
  const pinned = parseReference(`other@${index.digest}`);
  const foreign = await resolveBase(pinned, { os: "linux", architecture: "arm64" }, layout, access);
  expect(foreign.descriptor.digest).toBe(arm.digest);
  const bytesOf = readFileSync(layout.blobPath(base.manifest.config.digest));
  expect(parseImageConfig(bytesOf, "it")).toMatchObject({ platform, process: { env: ["A=1"] } });
});
