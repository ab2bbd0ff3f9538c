import { expect, test } from "bun:test";
import { type Directory, type Inode, plainDirectory } from "../../image/layers/tree.ts";
import { plainMetadata } from "../entry.ts";
import { filesMatching } from "./glob.ts";

const link = (target: string): Inode => ({ ...plainMetadata(0o777), kind: "link", target });
const file: Inode = { ...plainMetadata(0o644), kind: "fifo" };
function directory(children: Record<string, Inode>): Directory {
  return { ...plainDirectory(), children: new Map(Object.entries(children)) };
}

const root = directory({
  a: directory({ "one.c": file, "two.c": file, "three.h": file, "[x]": file, "a-b": file, "\xc3\xbc": file }),
  b: directory({ "one.c": file }),
  "to-a": link("a"),
  "to-one": link("a/one.c"),
  "to-nothing": link("none"),
});

test.each<[string, string[]]>([
  ["*/one.c", ["a/one.c", "b/one.c"]],
  ["a/*.c", ["a/one.c", "a/two.c"]],
  ["a/t??.c", ["a/two.c"]],
  ["a/[^o]*", ["a/[x]", "a/a-b", "a/three.h", "a/two.c", "a/\xc3\xbc"]],
  ["a/[s-u]*.[ch]", ["a/three.h", "a/two.c"]],
  ["a/\\[x]", ["a/[x]"]],
  ["a/a[,-.]b", ["a/a-b"]],
  ["a/a[\\-]b", ["a/a-b"]],
  ["a/t**e.[h]", ["a/three.h"]],
  ["a/?", ["a/\xc3\xbc"]],
  ["to-*", ["to-a", "to-one"]],
  ["to-a/o*", ["to-a/one.c"]],
  ["*/*/*", []],
  ["none/*", []],
  ["a/one.c", ["a/one.c"]],
])("%s", (pattern, expected) => {
  expect(filesMatching(root, pattern).map(({ words }) => words.join("/"))).toEqual(expected);
});

test.each(["a/[b", "a\\", "a[-]b", "a[]"])("%s is no pattern", (pattern) => {
  expect(() => filesMatching(root, pattern)).toThrow("syntax error in pattern");
});
