import { expect, test } from "bun:test";
import { parseOptions, splitWords, withOptions } from "./file-server-options.ts";

test("options are split with their values, and lists behind -o one by one", () => {
  expect(
    parseOptions(splitWords("--cache always --xattr -o cache=none,timeout=1 --thread-pool-size=4")),
  ).toEqual([
    { name: "--cache", words: ["--cache", "always"] },
    { name: "--xattr", words: ["--xattr"] },
    { name: "-o cache", words: ["-o", "cache=none"] },
    { name: "-o timeout", words: ["-o", "timeout=1"] },
    { name: "--thread-pool-size", words: ["--thread-pool-size=4"] },
  ]);
  expect(parseOptions(splitWords(""))).toEqual([]);
});

test("a word that belongs to no option is none, nor is a list that is missing", () => {
  expect(parseOptions(splitWords("always"))).toBeUndefined();
  expect(parseOptions(splitWords("--cache always never"))).toBeUndefined();
  expect(parseOptions(splitWords("-o"))).toBeUndefined();
});

test("what is given takes the place of the option of the same name", () => {
  expect(withOptions(["--cache=auto", "--xattr"], ["--cache", "always"])).toEqual([
    "--xattr",
    "--cache",
    "always",
  ]);
  expect(withOptions(["-o", "cache=auto", "-o", "xattr"], ["-o", "cache=none"])).toEqual([
    ...["-o", "xattr", "-o", "cache=none"],
  ]);
  expect(withOptions(["--cache=auto"], [])).toEqual(["--cache=auto"]);
});
