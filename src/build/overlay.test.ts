import { expect, test } from "bun:test";
import { type Directory, type Inode, plainDirectory } from "../image/layers/tree.ts";
import { plainMetadata } from "./entry.ts";
import { changesOf } from "./overlay.ts";

const text = (value: string) => Buffer.from(value);
const file = (xattrs: [string, Uint8Array][] = []): Inode => ({
  ...plainMetadata(0o644),
  kind: "file",
  content: { size: 0, runs: [] },
  xattrs: new Map(xattrs),
});
const whiteout: Inode = { ...plainMetadata(0), kind: "character", major: 0, minor: 0 };

function directory(children: [string, Inode][], xattrs: [string, Uint8Array][] = []): Directory {
  return { ...plainDirectory(), children: new Map(children), xattrs: new Map(xattrs) };
}

test("files, what was removed, and directories whose content was replaced", () => {
  const shared = file([["trusted.overlay.origin", text("x")]]);
  const entries = changesOf(
    directory([
      ["b", directory([["two", shared]], [["trusted.overlay.opaque", text("y")]])],
      [
        "a",
        directory(
          [
            ["gone", whiteout],
            ["one", shared],
          ],
          [["trusted.overlay.impure", text("y")]],
        ),
      ],
      ["zero", { ...whiteout, kind: "block" } as Inode],
    ]),
  );
  expect(entries.map(({ kind, path }) => `${kind} ${path}`)).toEqual([
    "inode a",
    "whiteout a/gone",
    "inode a/one",
    "inode b",
    "opaque b",
    "inode b/two",
    "inode zero",
  ]);
  const [one, two] = entries.flatMap((entry) =>
    /(one|two)$/.test(entry.path) && "inode" in entry ? [entry.inode] : [],
  );
  expect(one).toBe(two as Inode);
  expect(entries.every((entry) => !("inode" in entry) || entry.inode.xattrs.size === 0)).toBe(true);
});

test("attributes of the files' own stay, those of an overlay inside of it too", () => {
  const [entry] = changesOf(
    directory([
      [
        "file",
        file([
          ["user.mine", text("1")],
          ["trusted.overlay.overlay.opaque", text("y")],
          ["trusted.overlay.uuid", text("z")],
        ]),
      ],
    ]),
  );
  expect(entry).toMatchObject({
    inode: {
      xattrs: new Map([
        ["user.mine", text("1")],
        ["trusted.overlay.opaque", text("y")],
      ]),
    },
  });
});

test("what leads elsewhere is refused: nothing is taken for what it is not", () => {
  for (const name of ["redirect", "metacopy"]) {
    const upper = directory([["file", file([[`trusted.overlay.${name}`, text("/etc")]])]]);
    expect(() => changesOf(upper)).toThrow('"file" was changed in a way');
  }
});
