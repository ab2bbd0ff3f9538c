import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { digestOf } from "../spec/digest.ts";
import { OCI_CONFIG, OCI_LAYER, OCI_MANIFEST } from "../spec/media-type.ts";
import { partialPath } from "./ingest.ts";
import { Layout } from "./layout.ts";
import { imageSize, prune, removeImage } from "./prune.ts";

let directory: string;
let layout: Layout;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "bunny-layout-"));
  layout = Layout.openOrCreate(join(directory, "store"));
});
afterEach(() => rmSync(directory, { recursive: true }));

const CONTENT = new TextEncoder().encode("0123456789".repeat(1000));
const BLOB = { mediaType: OCI_LAYER, digest: digestOf(CONTENT), size: CONTENT.length };

/** Gives the content from an offset on, in pieces, and ends after so many of them. */
function pieces(content: Uint8Array, asked: number[] = [], most = Number.POSITIVE_INFINITY) {
  return async function* (offset: number) {
    asked.push(offset);
    let given = 0;
    for (let at = offset; at < content.length; at += 1000) {
      if (given++ === most) throw new Error("cut");
      yield content.subarray(at, at + 1000);
    }
  };
}

async function addImage(name: string, layer: string): Promise<void> {
  const config = await layout.addBytes(new TextEncoder().encode(`{"config of":"${name}"}`), OCI_CONFIG);
  const blob = await layout.addBytes(new TextEncoder().encode(layer), OCI_LAYER);
  const manifest = { schemaVersion: 2, mediaType: OCI_MANIFEST, config, layers: [blob] };
  const root = await layout.addBytes(new TextEncoder().encode(JSON.stringify(manifest)), OCI_MANIFEST);
  await layout.add(root, name);
}

test("a blob is there once it is whole, and then not asked for again", async () => {
  expect(layout.has(BLOB)).toBe(false);
  expect(await layout.addBlob(BLOB, pieces(CONTENT))).toBe("added");
  expect(readFileSync(layout.blobPath(BLOB.digest)).equals(CONTENT)).toBe(true);
  expect(
    await layout.addBlob(BLOB, () => {
      throw new Error("asked");
    }),
  ).toBe("present");
});

describe("a blob that was written before the system's last start", () => {
  const old = new Date(0);
  const read = async () => {
    const parts: Buffer[] = [];
    for await (const part of layout.openChecked(BLOB)) parts.push(Buffer.from(part));
    return Buffer.concat(parts);
  };
  beforeEach(async () => {
    await layout.addBlob(BLOB, pieces(CONTENT));
  });

  test("is verified once", async () => {
    utimesSync(layout.blobPath(BLOB.digest), old, old);
    expect((await read()).equals(CONTENT)).toBe(true);
    expect(Date.now() - statSync(layout.blobPath(BLOB.digest)).mtimeMs).toBeLessThan(60_000);
  });

  test("is removed where it is damaged, and can be fetched again", async () => {
    writeFileSync(layout.blobPath(BLOB.digest), CONTENT.toReversed());
    utimesSync(layout.blobPath(BLOB.digest), old, old);
    await expect(read()).rejects.toThrow(
      /was damaged: .*; it was removed from .*: bring the image there again/,
    );
    expect(await layout.addBlob(BLOB, pieces(CONTENT))).toBe("added");
    expect((await read()).equals(CONTENT)).toBe(true);
  });
});

test("an interrupted blob is continued from where it was", async () => {
  const asked: number[] = [];
  await expect(layout.addBlob(BLOB, pieces(CONTENT, asked, 3))).rejects.toThrow("cut");
  expect(layout.has(BLOB)).toBe(false);
  await layout.addBlob(BLOB, pieces(CONTENT, asked));
  expect(asked).toEqual([0, 3000]);
});

test("what was spoilt on the disk meanwhile is fetched from the start", async () => {
  mkdirSync(join(layout.directory, "ingest"));
  writeFileSync(partialPath(layout, BLOB.digest), "something else");
  const asked: number[] = [];
  await layout.addBlob(BLOB, pieces(CONTENT, asked));
  expect(asked).toEqual([14, 0]);
  expect(readFileSync(layout.blobPath(BLOB.digest)).equals(CONTENT)).toBe(true);
});

test("wrong, short and long content never gets a name, and is not kept", async () => {
  const wrong = CONTENT.slice();
  wrong[9999] = 0;
  const long = new Uint8Array(CONTENT.length + 1);
  long.set(CONTENT);
  for (const [content, why] of [
    [wrong, "was damaged"],
    [CONTENT.subarray(1), "is truncated"],
    [long, "has more than its 10000 bytes"],
  ] as const) {
    await expect(layout.addBlob(BLOB, pieces(content))).rejects.toThrow(why);
    expect(layout.has(BLOB)).toBe(false);
    expect(readdirSync(join(layout.directory, "ingest"))).toEqual([]);
  }
});

test("of two who add the same at once, one does", async () => {
  const asked: number[] = [];
  const other = Layout.open(layout.directory);
  const results = await Promise.all([
    layout.addBlob(BLOB, pieces(CONTENT, asked)),
    other.addBlob(BLOB, pieces(CONTENT, asked)),
  ]);
  expect(results.sort()).toEqual(["added", "present"]);
  expect(asked).toEqual([0]);
  layout.tidy();
  expect(existsSync(join(layout.directory, "ingest"))).toBe(false);
});

test("names given at once are all there", async () => {
  const names = Array.from({ length: 20 }, (_, index) => `host/name:${index}`);
  await Promise.all(names.map((name) => Layout.open(layout.directory).add(BLOB, name)));
  expect(layout.index().manifests.length).toBe(20);
  await layout.add({ ...BLOB, size: 1 }, "host/name:7");
  expect(layout.find("host/name:7")?.size).toBe(1);
  expect(layout.index().manifests.length).toBe(20);
});

test("what no image has is pruned, what one has is not", async () => {
  await addImage("a/a:1", "shared");
  await addImage("b/b:1", "shared");
  await layout.addBlob(BLOB, pieces(CONTENT));
  await layout.addBlob({ ...BLOB, digest: digestOf("x") }, pieces(CONTENT, [], 2)).catch(() => {});
  expect(await prune(layout)).toEqual({ blobs: 2, bytes: 12_000 });
  expect(await prune(layout)).toEqual({ blobs: 0, bytes: 0 });
  const removed = await removeImage(layout, "a/a:1");
  expect(removed?.blobs).toBe(2);
  const left = layout.find("b/b:1");
  expect(left && (await imageSize(layout, left))).toBeGreaterThan(6);
  expect((await removeImage(layout, "b/b:1"))?.blobs).toBe(3);
  expect(await removeImage(layout, "b/b:1")).toBeUndefined();
  expect(readdirSync(join(layout.directory, "blobs/sha256"))).toEqual([]);
});

test("nothing is removed while somebody uses the layout", async () => {
  await addImage("a/a:1", "layer");
  let pruned = false;
  let waiting: Promise<unknown> | undefined;
  await layout.using(async () => {
    waiting = prune(layout).then(() => {
      pruned = true;
    });
    expect(await removeImage(layout, "a/a:1")).toEqual({ blobs: 0, bytes: 0, inUse: true });
    await Bun.sleep(150);
    expect(pruned).toBe(false);
  });
  await waiting;
  expect(readdirSync(join(layout.directory, "blobs/sha256"))).toEqual([]);
});

test("what is no layout is refused", () => {
  expect(() => Layout.open(join(directory, "none"))).toThrow("is no image layout");
  writeFileSync(join(directory, "file"), "");
  expect(() => Layout.openOrCreate(directory)).toThrow("is no image layout and holds");
  expect(() => Layout.openOrCreate(join(directory, "file/x"))).toThrow("cannot write");
  writeFileSync(join(layout.directory, "oci-layout"), '{"imageLayoutVersion":"2.0.0"}');
  expect(() => Layout.open(layout.directory)).toThrow("1.0.0 is understood");
  writeFileSync(join(layout.directory, "oci-layout"), "{");
  expect(() => Layout.openOrCreate(layout.directory)).toThrow("cannot be read");
});
