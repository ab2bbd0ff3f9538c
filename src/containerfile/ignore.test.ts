import { expect, test } from "bun:test";
import { ignoreRules, parseIgnoreFile } from "./ignore.ts";

function ignored(text: string, path: string): boolean {
  return parseIgnoreFile(text, ".dockerignore").isIgnored(path);
}

test.each([
  ["a", "a", true],
  ["a", "a/b/c", true],
  ["a", "b/a", false],
  ["/a", "a", true],
  ["./a/../b/", "b/c", true],
  ["  a  ", "a", true],
  ["#a", "#a", false],
  ["*", "a/b", true],
  ["*.o", "a.o", true],
  ["*.o", "a/b.o", false],
  ["*/*.o", "a/b.o", true],
  ["?", "a", true],
  ["?", "ab", false],
  ["a?b", "a/b", false],
  ["?", "é", true],
  ["**", "a/b", true],
  ["**/a", "a", true],
  ["**/a", "b/c/a/d", true],
  ["**/a", "b/ca", false],
  ["**a", "b/ca", true],
  ["**a*", "b/ca", false],
  ["a/**", "a", false],
  ["a/**", "a/b", true],
  ["a**b", "a/x/b", true],
  ["a**b", "axb", false],
  ["**/*.o", "x/y/z.o", true],
  ["[a-c]x", "bx", true],
  ["[^a-c]x", "bx", false],
  ["[^a-c]x", "dx", true],
  ["a\\*", "a*", true],
  ["a\\*", "ab", false],
  ["a.b", "axb", false],
  ["a(b|c)+$", "a(b|c)+$", true],
  ["a\n!a/b", "a/b", false],
  ["a\n!a/b", "a/c", true],
  ["a\n!a/b\na/b/c", "a/b/c", true],
  ["!a\na", "a", true],
  ["*\n! /a", "a", false],
  ["**\n!**/*.ts", "a/b/c.ts", false],
  ["a/b\n!a", "a/b", true],
  ["\ufeffa\r\nb\r\n", "b", true],
  ["", "a", false],
])("%j has %s: %p", (text, path, expected) => {
  expect(ignored(text, path)).toBe(expected);
});

test.each([
  ["a", "a", false],
  ["a\n!b", "a", false],
  ["a\n!a/b/c", "a", true],
  ["a\n!a/b/c", "a/b", true],
  ["a\n!a/b/c", "a/x", false],
  ["a\n!a/b/**", "a/b", true],
  ["a\n!**/c", "a/x", true],
])("%j may have exceptions in %s: %p", (text, directory, expected) => {
  expect(parseIgnoreFile(text, ".dockerignore").hasExceptionsIn(directory)).toBe(expected);
});

test.each([
  ["a\n[b", '.dockerignore:2:1: syntax error in pattern: "[b"'],
  ["[]a]", "syntax error in pattern"],
  ["[a-]", "syntax error in pattern"],
  ["a\\", "syntax error in pattern"],
  ["!", 'illegal exclusion pattern: "!"'],
])("%j is refused", (text, sentence) => {
  expect(() => parseIgnoreFile(text, ".dockerignore")).toThrow(sentence);
});

test("patterns of --exclude are the same, but for their root", () => {
  expect(ignoreRules(["*.o", "!a.o"]).isIgnored("b.o")).toBe(true);
  expect(ignoreRules(["*.o", "!a.o"]).isIgnored("a.o")).toBe(false);
  expect(ignoreRules(["/a"]).isIgnored("a")).toBe(false);
});

test("a pattern of many wildcards takes no longer than one of few", () => {
  expect(ignored(`${"**/a".repeat(60)}b`, "a/".repeat(100))).toBe(false);
});
