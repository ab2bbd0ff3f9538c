import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type CpioEntry, writeCpio } from "./cpio.ts";
import { treeOfCpio } from "./cpio-reader.ts";
import { writeInitrd } from "./filesystem/initrd.ts";
import { ContentStore } from "./layers/content.ts";
import { type Directory, placesOf, plainDirectory } from "./layers/tree.ts";

let store: ContentStore;
beforeAll(() => {
  store = new ContentStore(tmpdir());
});
afterAll(() => store.close());

/** In pieces of a length that fits nothing. */
async function* pieces(bytes: Uint8Array, length = 7): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += length) yield bytes.subarray(at, at + length);
}

const read = (bytes: Uint8Array, length?: number) => treeOfCpio(pieces(bytes, length), store);

function textOf(tree: Directory, path: string): string | undefined {
  const inode = placesOf(tree).find((one) => one.path === path)?.inode;
  if (inode?.kind !== "file") return undefined;
  return Buffer.concat([...store.readAll(inode.content)].map((part) => Buffer.from(part))).toString();
}

const file = (path: string, text: string): CpioEntry => ({
  type: "file",
  path,
  mode: 0o640,
  uid: 7,
  data: Buffer.from(text),
});

const ENTRIES: CpioEntry[] = [
  { type: "directory", path: "dir", mode: 0o1777 },
  file("dir/file", "content"),
  { type: "link", path: "link", mode: 0o777, target: "dir/file" },
  { type: "character", path: "dir/null", mode: 0o666, major: 1, minor: 3 },
];

test.each([1, 7, 4096])("an archive of ours is read as it was, in pieces of %d", async (length) => {
  const tree = await read(writeCpio(ENTRIES), length);
  const places = placesOf(tree).map(({ path, inode: { kind, mode, uid } }) => [path, kind, mode, uid]);
  expect(places.slice(1)).toEqual([
    ["dir", "directory", 0o1777, 0],
    ["dir/file", "file", 0o640, 7],
    ["dir/null", "character", 0o666, 0],
    ["link", "link", 0o777, 0],
  ]);
  expect(textOf(tree, "dir/file")).toBe("content");
});

test("hard links are one file", async () => {
  const root = plainDirectory();
  const position = store.position;
  store.append(Buffer.from("text"));
  const { children: _, ...metadata } = plainDirectory();
  const shared = {
    ...metadata,
    kind: "file" as const,
    content: { size: 4, runs: [{ at: 0, position, length: 4 }] },
  };
  root.children.set("one", shared).set("two", shared);
  const directory = mkdtempSync(join(tmpdir(), "urunc-cpio-"));
  writeInitrd(root, store, join(directory, "initrd"));
  const tree = await read(readFileSync(join(directory, "initrd")));
  rmSync(directory, { recursive: true });
  expect(tree.children.get("one")).toBe(tree.children.get("two") as never);
  expect(textOf(tree, "two")).toBe("text");
});

test("of archives one after another the later wins, whatever zeros are between", async () => {
  const first = writeCpio([...ENTRIES, file("old", "old")]);
  const second = writeCpio([file("dir/file", "new"), file("deep/er", "x")]);
  const tree = await read(Buffer.concat([first, Buffer.alloc(12), second, Buffer.alloc(512)]));
  expect([...tree.children.keys()].sort()).toEqual(["deep", "dir", "link", "old"]);
  expect(textOf(tree, "dir/file")).toBe("new");
  expect((tree.children.get("dir") as Directory).mode).toBe(0o1777);
});

test.each<[string, () => Uint8Array, string]>([
  ["nothing", () => new Uint8Array(0), "it is empty"],
  ["zeros", () => new Uint8Array(512), "it is empty"],
  ["a text", () => Buffer.from("text".repeat(50)), "no header of the format newc"],
  ["the old format", () => Buffer.from("070707".padEnd(110, "0")), "no header of the format newc"],
  [
    "a field that is no number",
    () => Buffer.from("070701".padEnd(110, "x")),
    "a header's field is no number",
  ],
  ["no name", () => Buffer.from("070701".padEnd(110, "0")), "a name is empty or longer"],
  ["what is cut off", () => writeCpio(ENTRIES).subarray(0, 200), "it is cut off"],
  [
    "something behind it",
    () => Buffer.concat([writeCpio(ENTRIES), Buffer.from([0x1f, 0x8b])]),
    "it is cut off",
  ],
  ["a way out", () => named("dir", "../"), "leads out of the image"],
  ["a file on the way", () => writeCpio([file("a", ""), file("a/b", "")]), "no directory"],
])("%s is refused", async (_, bytes, why) => {
  await expect(read(bytes())).rejects.toThrow(why);
});

/** An archive of one directory under another name of the same length. */
function named(from: string, to: string): Buffer {
  const archive = Buffer.from(writeCpio([{ type: "directory", path: from, mode: 0o755 }]));
  archive.write(to, archive.indexOf(from), "latin1");
  return archive;
}
