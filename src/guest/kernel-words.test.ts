import { expect, test } from "bun:test";
import { asBytes, kernelWords } from "./kernel-words.ts";

test("blanks divide words, however many there are", () => {
  expect(kernelWords("  a  b\tc\nd ")).toEqual(["a", "b", "c", "d"]);
  expect(kernelWords("")).toEqual([]);
});

test("double quotes around a word, or around its value, are consumed", () => {
  expect(kernelWords('"a b" c="d e" "f=g h"')).toEqual(["a b", "c=d e", "f=g h"]);
  expect(kernelWords('"" x')).toEqual(["", "x"]);
  expect(kernelWords('a="" b="c')).toEqual(["a=", "b=c"]);
});

test("double quotes inside of a word stay, and hold blanks", () => {
  expect(kernelWords('{"a":1} x"y z"')).toEqual(['{"a":1}', 'x"y z"']);
});

test("single quotes are letters as any other", () => {
  expect(kernelWords("'a b'")).toEqual(["'a", "b'"]);
});

test("a byte of a longer character may be a blank to the kernel", () => {
  expect(kernelWords(asBytes("voilà x"))).toHaveLength(2);
  expect(kernelWords(asBytes("à la"))).toEqual(["\u00c3", "la"]);
});
