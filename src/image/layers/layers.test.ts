import { afterAll, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { ContentStore } from "./content.ts";
import { treeOfLayers } from "./layers.ts";
import { tarOfTree } from "./tar-writer.ts";
import { type Directory, placesOf, plainDirectory } from "./tree.ts";

const store = new ContentStore();
afterAll(() => store.close());

/** A tar of files that no compression makes small. */
function tar(...names: string[]): Uint8Array<ArrayBuffer> {
  const root: Directory = plainDirectory();
  for (const name of names) {
    const position = store.position;
    store.append(randomBytes(200_000));
    const content = { size: 200_000, runs: [{ at: 0, position, length: 200_000 }] };
    root.children.set(name, { ...plainDirectory(), kind: "file", content });
  }
  return new Uint8Array(Buffer.concat([...tarOfTree(root, store)].map((part) => Buffer.from(part))));
}

async function* stream(bytes: Uint8Array, failure?: Error): AsyncGenerator<Uint8Array> {
  for (let start = 0; start < bytes.length; start += 65_536) yield bytes.subarray(start, start + 65_536);
  if (failure !== undefined) throw failure;
}

/** The bytes of each file of a tree. */
function contents(tree: Directory): Map<string, Buffer> {
  return new Map(
    placesOf(tree).flatMap(({ path, inode }) =>
      inode.kind === "file"
        ? [[path, Buffer.concat(Array.from(store.readAll(inode.content), (part) => Buffer.from(part)))]]
        : [],
    ),
  );
}

/** A layer that comes as slowly as another one, so that they are read in turn. */
async function* slowly(bytes: Uint8Array, part: number): AsyncGenerator<Uint8Array> {
  for (let start = 0; start < bytes.length; start += part) {
    await Bun.sleep(0);
    yield bytes.subarray(start, start + part);
  }
}

test("layers of every compression are put together, read at once or not", async () => {
  const plain = [tar("a", "b"), tar("b", "c"), tar("d"), tar("e")];
  const layers = plain.map(
    (layer, index) => [layer, Bun.gzipSync(layer), Bun.zstdCompressSync(layer)][index % 3],
  );
  const expected = contents(await treeOfLayers([stream(plain[0] as Uint8Array)], store));
  for (const layer of plain.slice(1)) {
    for (const [path, bytes] of contents(await treeOfLayers([stream(layer)], store)))
      expected.set(path, bytes);
  }
  const tree = await treeOfLayers(
    layers.map((layer, index) => slowly(layer as Uint8Array, 10_000 + 777 * index)),
    store,
  );
  expect(contents(tree)).toEqual(new Map([...expected].sort()));
  expect([...expected.keys()].sort()).toEqual(["a", "b", "c", "d", "e"]);
});

test("holes of files stay where they are in layers that are read at once", async () => {
  const sparse = gunzipSync(readFileSync(join(import.meta.dir, "fixtures/pax-sparse-1.0.tar.gz")));
  const alone = contents(await treeOfLayers([stream(sparse)], store));
  const tree = await treeOfLayers(
    [slowly(tar("a", "b"), 999), slowly(sparse, 1111), slowly(sparse, 501)],
    store,
  );
  expect(
    contents(tree)
      .get("sparse")
      ?.equals(alone.get("sparse") as Buffer),
  ).toBe(true);
});

test("of several layers that are wrong the lowest is named, and none is read any more", async () => {
  let open = 0;
  const watched = async function* (bytes: Uint8Array, part: number) {
    open++;
    try {
      yield* slowly(bytes, part);
    } finally {
      open--;
    }
  };
  const wrong = Buffer.alloc(100_000, "no archive ");
  // The second is found to be wrong before the first.
  const layers = [
    watched(wrong, 100),
    watched(wrong, 100_000),
    watched(tar("a"), 1000),
    watched(tar("b"), 1000),
  ];
  await expect(treeOfLayers(layers, store)).rejects.toThrow(
    "layer 1 of 4: the layer has a header with a wrong",
  );
  expect(open).toBe(0);
});

test("gzip of several members, as parallel programs write it", async () => {
  const archive = tar("a", "b");
  const members = [archive.subarray(0, 150_000), archive.subarray(150_000)].map((part) => Bun.gzipSync(part));
  const tree = await treeOfLayers([stream(Buffer.concat(members))], store);
  expect([...tree.children.keys()]).toEqual(["a", "b"]);
});

test("a whole layer is read, what comes after its archive too", async () => {
  let given = 0;
  const counted = async function* (bytes: Uint8Array) {
    for await (const part of stream(bytes)) {
      given += part.length;
      yield part;
    }
  };
  const padded = Buffer.concat([tar("a"), Buffer.alloc(300_000)]);
  await treeOfLayers([counted(padded)], store);
  expect(given).toBe(padded.length);
});

test.each([
  ["gzip that is cut off", Bun.gzipSync(tar("a")).subarray(0, 150_000)],
  ["gzip with a changed byte", changed(Bun.gzipSync(tar("a")))],
  ["zstd that is cut off", Bun.zstdCompressSync(tar("a")).subarray(0, 150_000)],
  ["zstd with a wrong block", changed(Bun.zstdCompressSync(tar("a")), 9)],
])("%s is refused with a sentence", async (_, layer) => {
  const error = await treeOfLayers([stream(layer)], store).catch((reason) => reason);
  expect(error).toMatchObject({ code: "layer-invalid" });
});

function changed(bytes: Uint8Array, offset = bytes.length - 6): Uint8Array {
  const copy = Uint8Array.from(bytes);
  copy[offset] = (copy[offset] as number) ^ 0xff;
  return copy;
}

test("the error of whoever gives a layer is passed on as it is", async () => {
  const failure = new Error("connection reset");
  for (const layer of [tar("a"), Bun.gzipSync(tar("a"))]) {
    const cut = stream(layer.subarray(0, 100_000), failure);
    expect(await treeOfLayers([cut], store).catch((reason) => reason)).toBe(failure);
  }
});

test("a bomb is stopped by its limit", async () => {
  const bomb = Bun.gzipSync(tar("a", "b", "c"));
  const limited = treeOfLayers([stream(bomb)], store, { limits: { bytes: 500_000 } });
  await expect(limited).rejects.toThrow("the layer has files of more than 500000 bytes together");
});

test("an aborted signal ends it with its reason", async () => {
  const signal = AbortSignal.abort(new Error("stopped"));
  await expect(treeOfLayers([stream(tar("a"))], store, { signal })).rejects.toThrow("stopped");
});
