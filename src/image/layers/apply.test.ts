import { afterAll, describe, expect, test } from "bun:test";
import { LayerApplication } from "./apply.ts";
import { ContentStore } from "./content.ts";
import type { LayerEntry } from "./layer-reader.ts";
import { type Directory, placesOf, plainDirectory } from "./tree.ts";

const store = new ContentStore();
afterAll(() => store.close());

const plain = { mode: 0o644, uid: 0, gid: 0, mtime: { seconds: 1, nanoseconds: 0 }, xattrs: new Map() };

function file(name: string, text = ""): LayerEntry {
  const runs = text === "" ? [] : [{ at: 0, position: store.position, length: text.length }];
  store.append(Buffer.from(text));
  return { ...plain, kind: "file", name, content: { size: text.length, runs } };
}
function directory(name: string, mode = 0o755): LayerEntry {
  return { ...plain, kind: "directory", name, mode };
}
function link(name: string, target: string): LayerEntry {
  return { ...plain, kind: "link", name, target };
}
function hardlink(name: string, target: string): LayerEntry {
  return { ...plain, kind: "hardlink", name, target };
}

function apply(...layers: LayerEntry[][]): Directory {
  const root = plainDirectory();
  for (const layer of layers) {
    const application = new LayerApplication(root);
    for (const entry of layer) application.apply(entry);
  }
  return root;
}

/** A line for each path: what is there, and for files their text. */
function lines(root: Directory): string[] {
  return placesOf(root)
    .slice(1)
    .map(({ path, inode, links }) => {
      switch (inode.kind) {
        case "directory":
          return `${path}/`;
        case "link":
          return `${path} -> ${inode.target}`;
        case "file": {
          const text = Buffer.concat(
            [...store.readAll(inode.content)].map((part) => Buffer.from(part)),
          ).toString();
          return `${path}: ${text}${links > 1 ? ` (${links} links)` : ""}`;
        }
        default:
          return `${path} ${inode.kind}`;
      }
    });
}

function result(...layers: LayerEntry[][]): string[] {
  return lines(apply(...layers));
}

describe("one layer over another", () => {
  test("files are added and replaced", () => {
    expect(result([file("a", "1"), file("b", "1")], [file("b", "2"), file("c", "2")])).toEqual([
      "a: 1",
      "b: 2",
      "c: 2",
    ]);
  });

  test("a directory gets the metadata of the later layer, and keeps what is in it", () => {
    const tree = apply([directory("d", 0o700), file("d/a", "1")], [{ ...directory("d", 0o1777), uid: 5 }]);
    expect(lines(tree)).toEqual(["d/", "d/a: 1"]);
    expect(tree.children.get("d")).toMatchObject({ mode: 0o1777, uid: 5 });
  });

  test("the root's metadata is that of its entry", () => {
    expect(apply([directory("./", 0o711)])).toMatchObject({ mode: 0o711, mtime: plain.mtime });
    expect(() => apply([file("/")])).toThrow("root that is no directory");
  });

  test("a file replaces a directory with all in it, and a directory a file or a link", () => {
    const lower = [directory("d"), file("d/a"), file("f", "1"), link("l", "d")];
    expect(result(lower, [file("d", "2"), directory("f"), file("f/x", "2"), directory("l")])).toEqual([
      "d: 2",
      "f/",
      "f/x: 2",
      "l/",
    ]);
  });

  test("parents that no layer has are made as root's", () => {
    const tree = apply([file("a/b/c", "1")]);
    expect(lines(tree)).toEqual(["a/", "a/b/", "a/b/c: 1"]);
    expect(tree.children.get("a")).toMatchObject({ mode: 0o755, uid: 0, gid: 0 });
  });
});

describe("whiteouts", () => {
  test("hide a lower layer's file or directory", () => {
    const lower = [directory("d"), file("d/a"), file("d/b", "1"), directory("e"), file("e/x")];
    expect(result(lower, [file("d/.wh.a"), file(".wh.e")])).toEqual(["d/", "d/b: 1"]);
  });

  test("do not hide what their own layer has, wherever they stand", () => {
    const lower = [file("a", "1"), directory("d"), file("d/low", "1")];
    const own = [file("a", "2"), file("d/high", "2")];
    const hiding = [file(".wh.a"), file(".wh.d")];
    for (const layer of [
      [...own, ...hiding],
      [...hiding, ...own],
    ]) {
      expect(result(lower, layer)).toEqual(["a: 2", "d/", "d/high: 2"]);
    }
  });

  test("opaque: hide all that lower layers have in a directory, wherever they stand", () => {
    const lower = [directory("d"), file("d/low", "1"), directory("d/sub"), file("d/sub/low", "1")];
    const own = [directory("d"), directory("d/sub"), file("d/sub/high", "2")];
    for (const layer of [
      [...own, file("d/.wh..wh..opq")],
      [file("d/.wh..wh..opq"), ...own],
    ]) {
      expect(result(lower, layer)).toEqual(["d/", "d/sub/", "d/sub/high: 2"]);
    }
  });

  test("opaque: hides what is below a directory that the layer puts something deeper into", () => {
    const lower = [file("d/sub/low", "1"), file("d/sub/deep/low", "1")];
    expect(result(lower, [file("d/sub/deep/high", "2"), file("d/.wh..wh..opq")])).toEqual([
      "d/",
      "d/sub/",
      "d/sub/deep/",
      "d/sub/deep/high: 2",
    ]);
  });

  test("of what is not there, and AUFS' own files, are nothing", () => {
    expect(
      result([file(".wh.a"), file("x/.wh.a"), file("y/.wh..wh..opq"), file(".wh..wh.plnk/1.2")]),
    ).toEqual([]);
  });

  test.each([".wh.", ".wh..", ".wh...", "d/.wh.."])("%s hides no file", (name) => {
    expect(() => apply([file(name)])).toThrow("which is no file");
  });
});

describe("hard links", () => {
  test("are one file, across layers too", () => {
    const tree = apply([file("a", "1")], [hardlink("b", "a"), hardlink("d/c", "/b")]);
    expect(lines(tree)).toEqual(["a: 1 (3 links)", "b: 1 (3 links)", "d/", "d/c: 1 (3 links)"]);
  });

  test("keep the old file where one name is replaced", () => {
    expect(result([file("a", "1"), hardlink("b", "a")], [file("a", "2")])).toEqual(["a: 2", "b: 1"]);
  });

  test("of links are links, and a name may be linked to itself", () => {
    expect(result([link("a", "x"), hardlink("b", "a"), file("f", "1"), hardlink("f", "f")])).toEqual([
      "a -> x",
      "b -> x",
      "f: 1",
    ]);
  });

  test("lead through links inside the root", () => {
    expect(result([file("d/a", "1"), link("l", "/d"), hardlink("b", "l/a")])).toContain("b: 1 (2 links)");
  });

  test.each(["missing", "d", "/", "f/x"])("to %s are refused", (target) => {
    expect(() => apply([directory("d"), file("f"), hardlink("x", target)])).toThrow("which is no file there");
  });
});

describe("nothing escapes the root", () => {
  test.each(["../a", "a/../../b", "/..", "./../x"])("%s is refused", (name) => {
    expect(() => apply([file(name)])).toThrow("leads out of the image");
  });

  test("a hard link's target that leaves it is refused", () => {
    expect(() => apply([hardlink("a", "../../etc/shadow")])).toThrow("leads out of the image");
  });

  test("absolute paths are from the root", () => {
    expect(result([file("/etc/a", "1"), file("a/../b", "1")])).toEqual(["b: 1", "etc/", "etc/a: 1"]);
  });

  test("links on the way are followed inside the root", () => {
    const lower = [
      directory("usr/bin"),
      link("bin", "usr/bin"),
      link("up", "../../../.."),
      link("abs", "/usr/new"),
      link("usr/back", "../bin"),
    ];
    const upper = [
      file("bin/sh", "1"),
      file("up/top", "2"),
      file("abs/made", "3"),
      file("usr/back/also", "4"),
    ];
    expect(result(lower, upper).filter((line) => line.includes(":"))).toEqual([
      "top: 2",
      "usr/bin/also: 4",
      "usr/bin/sh: 1",
      "usr/new/made: 3",
    ]);
  });

  test("a link itself is replaced, not followed", () => {
    expect(result([file("a", "1"), link("l", "a")], [file("l", "2")])).toEqual(["a: 1", "l: 2"]);
  });

  test("whiteouts follow links on the way, too", () => {
    expect(result([file("d/a"), link("l", "d")], [file("l/.wh.a")])).toEqual(["d/", "l -> d"]);
  });

  test("links in a circle, a file on the way, and long names are refused", () => {
    expect(() => apply([link("a", "b"), link("b", "a"), file("a/x")])).toThrow("more than 255 links");
    expect(() => apply([file("f"), file("f/x")])).toThrow("on its way is no directory");
    expect(() => apply([link("l", "f"), file("f"), file("l/x")])).toThrow("on its way is no directory");
    expect(() => apply([file("n".repeat(256))])).toThrow("more than 255 bytes");
  });
});

test("the order of a layer's entries does not matter for what is written", () => {
  const entries = () => [file("b", "1"), file("a", "2"), file("c/z", "3"), file("c/y", "4")];
  expect(result(entries())).toEqual(result(entries().reverse()));
});
