import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { copyImage } from "../copy.ts";
import { digestOf } from "../spec/digest.ts";
import { parseManifest } from "../spec/manifest.ts";
import { OCI_CONFIG, OCI_LAYER, OCI_MANIFEST } from "../spec/media-type.ts";
import { parseReference } from "../spec/reference.ts";
import { Layout } from "../store/layout.ts";
import { layoutSource } from "../store/transport.ts";
import { dockerArchiveSink, dockerArchiveSource } from "./docker-archive.ts";
import { dockerSocket } from "./docker-daemon.ts";
import { ociArchiveSink, ociArchiveSource } from "./oci-archive.ts";
import { fileOutput } from "./output.ts";
import { indexTar, spool } from "./tar-index.ts";
import { tarHeader } from "./tar-writer.ts";

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "bunny-archive-"));
});
afterEach(() => rmSync(directory, { recursive: true }));

const LAYER = Buffer.from("layer ".repeat(5000));
const CONFIG = (diffIds: string[]) =>
  JSON.stringify({ os: "linux", architecture: "amd64", rootfs: { diff_ids: diffIds } });

/** Packs files with the system's tar. */
function pack(files: Record<string, string | Uint8Array | { link: string }>, ...options: string[]): string {
  const root = join(directory, "root");
  mkdirSync(root, { recursive: true });
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(join(root, name, ".."), { recursive: true });
    if (typeof content === "object" && "link" in content) symlinkSync(content.link, join(root, name));
    else writeFileSync(join(root, name), content);
  }
  const archive = join(directory, "archive.tar");
  const { exitCode } = Bun.spawnSync(["tar", "--create", "--file", archive, ...options, "-C", root, "."]);
  expect(exitCode).toBe(0);
  rmSync(root, { recursive: true });
  return archive;
}

async function read(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const chunk of chunks) parts.push(chunk.slice());
  return Buffer.concat(parts);
}

describe("a docker-archive", () => {
  const open = async (archive: string, name?: string) =>
    dockerArchiveSource(indexTar(archive, "x"), name === undefined ? undefined : parseReference(name), "x");

  test("of old has a directory for each layer, and links for those that are the same", async () => {
    const diffId = digestOf(LAYER);
    const archive = pack({
      "c.json": CONFIG([diffId, diffId]),
      "one/layer.tar": LAYER,
      "two/layer.tar": { link: "../one/layer.tar" },
      "manifest.json": JSON.stringify([
        { Config: "c.json", RepoTags: ["app:1"], Layers: ["one/layer.tar", "two/layer.tar"] },
      ]),
    });
    const source = await open(archive);
    const { bytes, descriptor } = await source.root();
    const manifest = parseManifest(bytes, "x", descriptor.mediaType);
    if (manifest.kind !== "manifest") throw new Error("no manifest");
    expect(manifest.layers).toEqual([
      { mediaType: OCI_LAYER, digest: diffId, size: LAYER.length },
      { mediaType: OCI_LAYER, digest: diffId, size: LAYER.length },
    ]);
    expect((await read(source.open(manifest.layers[1] as never))).equals(LAYER)).toBe(true);
    expect((await read(source.open(manifest.layers[0] as never, 29_999))).toString()).toBe(" ");
  });

  test("of today is a layout too, with compressed layers", async () => {
    const compressed = zstdCompressSync(LAYER);
    const path = `blobs/sha256/${digestOf(compressed).slice(7)}`;
    const archive = pack(
      {
        [path]: compressed,
        "blobs/sha256/config": CONFIG([digestOf(LAYER)]),
        "manifest.json": JSON.stringify([{ Config: "blobs/sha256/config", RepoTags: null, Layers: [path] }]),
      },
      "--format=pax",
    );
    const manifest = parseManifest((await (await open(archive)).root()).bytes, "x");
    expect(manifest.kind === "manifest" && manifest.layers[0]).toEqual({
      ...{ mediaType: `${OCI_LAYER}+zstd`, digest: digestOf(compressed), size: compressed.length },
    });
  });

  test("of several images has one chosen by its name", async () => {
    const entry = (name: string) => ({ Config: "c.json", RepoTags: [name], Layers: [] });
    const archive = pack({
      "c.json": CONFIG([]),
      "manifest.json": JSON.stringify([entry("a:1"), entry("docker.io/library/b:1")]),
    });
    await expect(open(archive)).rejects.toThrow(
      "several images, name one of them: a:1, docker.io/library/b:1",
    );
    await expect(open(archive, "c")).rejects.toThrow("has no image c:latest");
    expect((await open(archive, "b:1")).name).toBe("x");
  });

  test.each<[Record<string, string>, string]>([
    [{ "c.json": "{}" }, "is no docker-archive: it lacks manifest.json"],
    [{ "manifest.json": "{}" }, "must be a list"],
    [{ "manifest.json": "[]" }, "has no image"],
    [{ "manifest.json": '[{"Config":"../c"}]' }, "lacks ../c"],
    [
      { "manifest.json": '[{"Config":"c","Layers":["l"]}]', c: CONFIG([]) },
      "1 layers and its configuration 0",
    ],
    [{ "manifest.json": '[{"Config":"c","Layers":["l"]}]', c: CONFIG([digestOf("")]) }, "lacks the layer l"],
  ])("with %j is refused", async (files, why) => {
    await expect(open(pack(files))).rejects.toThrow(why);
  });

  test("that is cut off, empty, no archive or not there is refused", async () => {
    const archive = pack({ "manifest.json": "[]", big: LAYER });
    truncateSync(archive, 20_000);
    await expect(open(archive)).rejects.toThrow("x is cut off");
    writeFileSync(archive, LAYER);
    await expect(open(archive)).rejects.toThrow("it is no tar archive");
    writeFileSync(archive, "");
    await expect(open(archive)).rejects.toThrow("no tar archive");
    await expect(open(join(directory, "none"))).rejects.toThrow("there is no file");
    await expect(open(directory)).rejects.toThrow("is a directory");
  });

  test("with a member that has holes is refused", async () => {
    writeFileSync(join(directory, "manifest.json"), "[]");
    truncateSync(join(directory, "manifest.json"), 1 << 20);
    const archive = join(directory, "sparse.tar");
    Bun.spawnSync(["tar", "--create", "--sparse", "--file", archive, "-C", directory, "manifest.json"]);
    await expect(open(archive)).rejects.toThrow("x has manifest.json with holes");
  });
});

describe("a copy", () => {
  /** A layout with one image of one layer, which may be another than its digest says. */
  async function image(compress: (bytes: Uint8Array) => Uint8Array, suffix: string): Promise<Layout> {
    const layout = Layout.openOrCreate(join(directory, "layout"));
    const config = await layout.addBytes(Buffer.from(CONFIG([digestOf(LAYER)])), OCI_CONFIG);
    const layer = await layout.addBytes(compress(LAYER), OCI_LAYER + suffix);
    const manifest = { schemaVersion: 2, mediaType: OCI_MANIFEST, config, layers: [layer] };
    const root = await layout.addBytes(Buffer.from(JSON.stringify(manifest)), OCI_MANIFEST);
    await layout.add(root, "app:1");
    return layout;
  }

  test.each([
    ["gzip", gzipSync, "+gzip"],
    ["zstd", zstdCompressSync, "+zstd"],
  ] as const)("to a docker-archive has layers of %s as Docker reads them", async (kind, compress, suffix) => {
    const layout = await image(compress as never, suffix);
    const path = join(directory, "out.tar");
    const sink = dockerArchiveSink(await fileOutput(path), parseReference("app:1"), "out");
    await copyImage(layoutSource(layout, undefined, "x"), sink);
    const [entry] = JSON.parse(Bun.spawnSync(["tar", "-xOf", path, "manifest.json"]).stdout.toString());
    expect(entry.RepoTags).toEqual(["app:1"]);
    const packed = Bun.spawnSync(["tar", "-xOf", path, entry.Layers[0]]).stdout;
    expect(packed.equals(kind === "gzip" ? gzipSync(LAYER) : LAYER)).toBe(true);
    expect(entry.Config).toBe(`${digestOf(CONFIG([digestOf(LAYER)])).slice(7)}.json`);
  });

  test("to an OCI archive and back is the same", async () => {
    const layout = await image(gzipSync as never, "+gzip");
    const path = join(directory, "out.tar");
    const root = await copyImage(
      layoutSource(layout, "app:1", "x"),
      ociArchiveSink(await fileOutput(path), "name", "out"),
    );
    const back = ociArchiveSource(indexTar(path, "back"), "name", "back");
    expect((await back.root()).descriptor.digest).toBe(root.digest);
    const none = ociArchiveSource(indexTar(path, "back"), "other", "back");
    await expect(none.root()).rejects.toThrow("has no image other: it has name");
  });

  test("of a layer that was spoilt leaves no file", async () => {
    const layout = await image((bytes) => bytes, "");
    writeFileSync(layout.blobPath(digestOf(LAYER)), LAYER.subarray(1));
    const path = join(directory, "out.tar");
    const sink = ociArchiveSink(await fileOutput(path), undefined, "out");
    await expect(copyImage(layoutSource(layout, undefined, "x"), sink)).rejects.toThrow("is truncated");
    await sink.close?.();
    expect([...new Bun.Glob("out*").scanSync(directory)]).toEqual([]);
  });
});

test("headers are those of the system's tar", () => {
  const path = join(directory, "h.tar");
  writeFileSync(path, Buffer.concat([tarHeader("a/b", 3), Buffer.from("abc"), Buffer.alloc(509 + 1024)]));
  const listed = Bun.spawnSync(["tar", "--numeric-owner", "--utc", "-tvf", path]).stdout.toString();
  expect(listed).toMatch(/^-rw-r--r-- 0\/0 +3 1970-01-01 00:00 a\/b\n$/);
  // 8 GiB and more do not fit into octal digits.
  writeFileSync(path, tarHeader("big", 2 ** 33 + 5));
  expect(Bun.spawnSync(["tar", "-tvf", path]).stdout.toString()).toContain("8589934597");
  expect(() => tarHeader("x".repeat(101), 0)).toThrow("no name");
});

test("what can be read only once is kept in a file without a name", async () => {
  const spooled = await spool(
    (async function* () {
      yield LAYER;
    })(),
  );
  expect(readFileSync(spooled.path).equals(LAYER)).toBe(true);
  await spooled.close();
});

test("Docker is found by its environment's name for it", () => {
  expect(dockerSocket({})).toBe("/var/run/docker.sock");
  expect(dockerSocket({ DOCKER_HOST: "unix:///x/y.sock" })).toBe("/x/y.sock");
  expect(() => dockerSocket({ DOCKER_HOST: "tcp://a:1" })).toThrow("only a socket of this machine");
});
