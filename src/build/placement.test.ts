import { expect, test } from "bun:test";
import { type Directory, type Inode, placesOf, plainDirectory } from "../image/layers/tree.ts";
import { plainMetadata } from "./entry.ts";
import { addedTo, COPY, inodesOf, place, UNPACK } from "./placement.ts";

type Shape = { [name: string]: Shape | string };

/** A tree: a text that begins with `->` is a link, others are files. */
function treeOf(shape: Shape): Directory {
  const directory = plainDirectory();
  for (const [name, value] of Object.entries(shape)) {
    directory.children.set(name, typeof value === "string" ? leaf(value) : treeOf(value));
  }
  return directory;
}

function leaf(value: string): Inode {
  if (value.startsWith("->")) return { ...plainMetadata(0o777), kind: "link", target: value.slice(2) };
  return { ...plainMetadata(0o644), kind: "file", content: { size: value.length, runs: [] } };
}

const paths = (root: Directory) =>
  placesOf(root)
    .filter(({ path }) => path !== "")
    .map(({ path, inode }) => (inode.kind === "directory" ? `${path}/` : path));

/** The paths that a layer gets for what is placed. */
function placed(base: Shape, inode: Inode, destination: string): string[] {
  const root = treeOf(base);
  const before = inodesOf(root);
  place(root, inode, "name", destination);
  return addedTo(root, before).map(({ path }) => path);
}

test.each<[string, Shape, string, string[]]>([
  ["a name", {}, "/a", ["a"]],
  ["a name below what is missing", {}, "/a/b/c", ["a", "a/b", "a/b/c"]],
  ["a name below what is there", { a: {} }, "/a/b", ["a/b"]],
  ["a directory's name", { a: {} }, "/a", ["a/name"]],
  ["a directory that is missing", {}, "/a/", ["a", "a/name"]],
  ["the root", {}, "/", ["name"]],
  ["a file that is there", { a: "old" }, "/a", ["a"]],
  ["a link that is there", { a: "->b" }, "/a", ["a"]],
  ["a link to a directory", { a: "->b", b: {} }, "/a", ["b/name"]],
  ["a name below a link", { bin: "->usr/bin", usr: { bin: {} } }, "/bin/x", ["usr/bin/x"]],
  ["a name below a link upwards", { a: "->../../b", b: {} }, "/a/x", ["b/x"]],
])("a file goes to %s", (_, base, destination, expected) => {
  expect(placed(base, leaf("new"), destination)).toEqual(expected);
});

test.each<[string, Shape, string, string[]]>([
  ["what is missing", {}, "/a", ["a", "a/d", "a/d/y", "a/x"]],
  ["what is missing, with a slash", {}, "/a/", ["a", "a/d", "a/d/y", "a/x"]],
  ["what is there", { a: { z: "" } }, "/a", ["a/d", "a/d/y", "a/x"]],
  ["what is there, with a part of it", { a: { d: { z: "" }, x: "" } }, "/a", ["a/d/y", "a/x"]],
  ["the root", { d: {} }, "/", ["d/y", "x"]],
])("a directory's files go into %s", (_, base, destination, expected) => {
  expect(placed(base, treeOf({ x: "1", d: { y: "2" } }), destination)).toEqual(expected);
});

test("a new directory is what its source is, one that is there stays", () => {
  const source = { ...treeOf({ x: "" }), mode: 0o700 };
  const root = treeOf({ there: {} });
  place(root, source, "name", "/there");
  place(root, source, "name", "/new");
  expect((root.children.get("there") as Directory).mode).toBe(0o755);
  expect((root.children.get("new") as Directory).mode).toBe(0o700);
});

test("a source can be used again", () => {
  const source = treeOf({ d: { x: "" } });
  const root = plainDirectory();
  place(root, source, "name", "/a");
  place(root, leaf(""), "name", "/a/d/more");
  place(root, source, "name", "/b");
  expect(paths(root)).toEqual(["a/", "a/d/", "a/d/more", "a/d/x", "b/", "b/d/", "b/d/x"]);
});

test.each<[string, Shape, Inode, string, string]>([
  ["a file below a file", { a: "" }, leaf(""), "/a/b", "no directory"],
  ["a file over a directory", { a: { name: {} } }, leaf(""), "/a", "is a directory of the image"],
  [
    "a file of a directory over a directory",
    { a: { x: {} } },
    treeOf({ x: "" }),
    "/a",
    '"/a/x" is a directory',
  ],
  ["a directory over a file", { a: { x: "" } }, treeOf({ x: {} }), "/a", '"/a/x" is a file'],
  ["a directory onto a file", { a: "" }, treeOf({}), "/a", "no directory"],
])("%s is refused", (_, base, inode, destination, why) => {
  expect(() => place(treeOf(base), inode, "name", destination)).toThrow(why);
});

/** What a tree has at a path, links not followed. */
function at(root: Directory, path: string): Inode | undefined {
  return path
    .split("/")
    .reduce<Inode | undefined>((inode, name) => (inode as Directory | undefined)?.children.get(name), root);
}

test("COPY gives directories below the destination what their source has, new or not, and the destination nothing", () => {
  const owner = { uid: 5, gid: 6 };
  const source = { ...treeOf({ sub: { y: "" }, new: {} }), mode: 0o700 };
  for (const name of ["sub", "new"]) Object.assign(at(source, name) as Inode, { mode: 0o750, uid: 5 });
  const root = treeOf({ a: { sub: { kept: "" } } });
  const before = inodesOf(root);
  place(root, source, "name", "/a", { ...COPY, owner });
  place(root, source, "name", "/b/c", { ...COPY, owner });
  expect(at(root, "a")).toMatchObject({ mode: 0o755, uid: 0 });
  expect(at(root, "a/sub")).toMatchObject({ mode: 0o750, uid: 5 });
  expect(at(root, "a/sub/kept")).toBeDefined();
  expect(at(root, "b")).toMatchObject({ mode: 0o755, uid: 5, gid: 6 });
  expect(at(root, "b/c")).toMatchObject({ mode: 0o755, uid: 5, gid: 6 });
  expect(addedTo(root, before).map(({ path }) => path)).toEqual([
    ...["a/new", "a/sub", "a/sub/y", "b", "b/c", "b/c/new", "b/c/sub", "b/c/sub/y"],
  ]);
});

test.each<[string, Shape, string[]]>([
  ["to a file", { a: "->real", real: "old" }, ["real"]],
  ["to nothing", { a: "->/new/../new/real" }, ["new", "new/real"]],
  ["to a link", { a: "->b", b: "->c", c: "old" }, ["c"]],
  ["out of the root", { a: "->../../real" }, ["real"]],
])("COPY follows a link %s at the destination", (_, base, expected) => {
  const root = treeOf(base);
  const before = inodesOf(root);
  place(root, leaf("new"), "name", "/a", COPY);
  expect(addedTo(root, before).map(({ path }) => path)).toEqual(expected);
  expect(() => place(treeOf({ a: "->a" }), leaf(""), "name", "/a", COPY)).toThrow(
    "through more than 255 links",
  );
});

test("an archive takes the place of what is there, of whatever kind", () => {
  const root = treeOf({ file: { x: "" }, directory: "old", link: "->file", merged: { kept: "" } });
  place(
    root,
    treeOf({ file: "1", directory: { x: "" }, link: {}, merged: { new: "" } }),
    "name",
    "/",
    UNPACK,
  );
  expect(paths(root)).toEqual([
    ...["directory/", "directory/x", "file", "link/", "merged/", "merged/kept", "merged/new"],
  ]);
});
