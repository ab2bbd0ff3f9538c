import { expect, test } from "bun:test";
import { isOpaque, isWhiteout, overlayLayer, seenOf, stackLayers } from "./overlay.ts";
import { type Directory, type Inode, plainDirectory } from "./tree.ts";

const METADATA = { mode: 0o644, uid: 0, gid: 0, mtime: { seconds: 0, nanoseconds: 0 }, xattrs: new Map() };
const file = (size: number, xattrs: Record<string, string> = {}): Inode => ({
  ...METADATA,
  kind: "file",
  content: { size, runs: [] },
  xattrs: attributes(xattrs),
});
const GONE: Inode = { ...METADATA, kind: "character", major: 0, minor: 0 };

function directory(children: Record<string, Inode>, xattrs: Record<string, string> = {}): Directory {
  return { ...plainDirectory(), children: new Map(Object.entries(children)), xattrs: attributes(xattrs) };
}

function attributes(values: Record<string, string>): Map<string, Uint8Array> {
  return new Map(Object.entries(values).map(([name, value]) => [name, Buffer.from(value)]));
}

/** Sizes of files, "-" for what is gone, "!" for directories that hide what is below. */
function shape(inode: Inode): unknown {
  if (isWhiteout(inode)) return "-";
  if (inode.kind === "file") return inode.content.size;
  if (inode.kind !== "directory") return inode.kind;
  const children = [...inode.children].map(([name, child]) => [name, shape(child)]);
  return Object.fromEntries(isOpaque(inode) ? [["!", true], ...children] : children);
}

const OPAQUE = { "trusted.overlay.opaque": "y" };

test("of two layers the upper one's files go before, and directories are merged", () => {
  const below = directory({ a: file(1), d: directory({ one: file(1), two: file(1) }), gone: GONE });
  const above = directory({ d: directory({ two: file(2), three: file(2) }), b: file(2) });
  const both = stackLayers(below, above);
  expect(shape(both)).toEqual({ a: 1, b: 2, gone: "-", d: { one: 1, two: 2, three: 2 } });
  expect(shape(below)).toEqual({ a: 1, gone: "-", d: { one: 1, two: 1 } });
  expect(shape(seenOf(both))).toEqual({ a: 1, b: 2, d: { one: 1, two: 2, three: 2 } });
});

test("what is hidden stays hidden over any third layer", () => {
  const below = directory({
    ...{ file: file(1), gone: GONE, plain: directory({ x: file(1) }) },
    hides: directory({ x: file(1) }, OPAQUE),
  });
  const above = directory({
    file: directory({ y: file(2) }),
    gone: directory({ y: file(2) }),
    plain: directory({ y: file(2) }, OPAQUE),
    hides: directory({ y: file(2) }),
    new: GONE,
  });
  const both = stackLayers(below, above);
  expect(shape(both)).toEqual({
    file: { "!": true, y: 2 },
    gone: { "!": true, y: 2 },
    plain: { "!": true, y: 2 },
    hides: { "!": true, x: 1, y: 2 },
    new: "-",
  });
  const third = directory({
    ...{ file: directory({ z: file(3) }), gone: directory({ z: file(3) }), plain: directory({ z: file(3) }) },
    ...{ hides: directory({ z: file(3) }), new: directory({ z: file(3) }) },
  });
  expect(shape(seenOf(stackLayers(third, both)))).toEqual({
    ...{ file: { y: 2 }, gone: { y: 2 }, plain: { y: 2 } },
    hides: { x: 1, y: 2 },
  });
});

test("a layer's own marks are gone, those of other overlays too, and attributes of files stay", () => {
  const shared = file(1, { "trusted.overlay.origin": "x", "user.kept": "k" });
  const layer = overlayLayer(
    directory({
      a: shared,
      b: shared,
      nested: directory({}, { "trusted.overlay.overlay.opaque": "y", "trusted.overlay.impure": "y" }),
      hides: directory({}, OPAQUE),
    }),
    "trusted.overlay.",
  );
  expect(layer.children.get("a")).toBe(layer.children.get("b") as Inode);
  expect([...(layer.children.get("a") as Inode).xattrs.keys()]).toEqual(["user.kept"]);
  expect((layer.children.get("nested") as Inode).xattrs.size).toBe(0);
  expect(isOpaque(layer.children.get("hides") as Inode)).toBe(true);
});

test("a mount of the option userxattr has its marks under names of their own", () => {
  const layer = directory({ a: directory({}, { "user.overlay.opaque": "y" }), b: directory({}, OPAQUE) });
  const read = overlayLayer(layer, "user.overlay.");
  expect(isOpaque(read.children.get("a") as Inode)).toBe(true);
  expect((read.children.get("b") as Inode).xattrs.size).toBe(0);
});

test("what is elsewhere in part is refused", () => {
  for (const mark of ["redirect", "metacopy", "whiteout"]) {
    const layer = directory({ a: file(0, { [`trusted.overlay.${mark}`]: "x" }) });
    expect(() => overlayLayer(layer, "trusted.overlay.")).toThrow("elsewhere in part");
  }
});
