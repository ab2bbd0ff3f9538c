import { expect, test } from "bun:test";
import { type Directory, type Inode, plainDirectory } from "../image/layers/tree.ts";
import { applyEntries, plainMetadata } from "./entry.ts";
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

test("applied to the files below, they give what the overlay showed", () => {
  const lower = directory([
    ["gone", file()],
    [
      "kept",
      directory([
        ["old", file()],
        ["hidden", file()],
      ]),
    ],
    ["replaced", directory([["old", file()]])],
    ["file", directory([["in", file()]])],
  ]);
  const upper = directory([
    ["gone", whiteout],
    [
      "kept",
      {
        ...directory([
          ["hidden", whiteout],
          ["new", file()],
        ]),
        mode: 0o700,
      },
    ],
    ["replaced", directory([["new", file()]], [["trusted.overlay.opaque", text("y")]])],
    ["file", file()],
    ["made", directory([["in", file()]])],
  ]);
  applyEntries(lower, changesOf(upper));
  const names = (path: string) => [...(lower.children.get(path) as Directory).children.keys()];
  expect([...lower.children.keys()]).toEqual(["kept", "replaced", "file", "made"]);
  expect([names("kept"), names("replaced"), names("made")]).toEqual([["old", "new"], ["new"], ["in"]]);
  expect([lower.children.get("kept")?.mode, lower.children.get("file")?.kind]).toEqual([0o700, "file"]);
  expect(() => applyEntries(lower, [{ kind: "whiteout", path: "file/in" }])).toThrow("is in no directory");
});
