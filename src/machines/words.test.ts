import { expect, test } from "bun:test";
import { parseWords, type WordSpecs } from "./words.ts";

const specs: WordSpecs = {
  interactive: { kind: "boolean", short: "i" },
  tty: { kind: "boolean", short: "t" },
  rm: { kind: "boolean" },
  name: { kind: "string" },
  publish: { kind: "strings", short: "p" },
};
const parse = (...words: string[]) => parseWords(words, specs, "x");

test("short flags stand together, and their values behind them", () => {
  expect(parse("-it", "-p80:80", "-p", "1", "-p=2", "image", "-it")).toEqual({
    strings: {},
    booleans: { interactive: true, tty: true },
    lists: { publish: ["80:80", "1", "2"] },
    rest: ["image", "-it"],
  });
  expect(parse("-itp", "5", "image").lists).toEqual({ publish: ["5"] });
});

test("long flags have their value behind = or as the next word", () => {
  expect(parse("--name", "a", "--rm=false", "--publish=b=c", "--", "-x")).toEqual({
    strings: { name: "a" },
    booleans: { rm: false },
    lists: { publish: ["b=c"] },
    rest: ["-x"],
  });
});

test("flags stand behind arguments where no program's own words follow", () => {
  const parsed = parseWords(["a", "-i", "b", "--", "-t"], specs, "x", { interspersed: true });
  expect(parsed.rest).toEqual(["a", "b", "-t"]);
  expect(parsed.booleans).toEqual({ interactive: true });
});

test.each<[string[], string]>([
  [["--no"], "unknown flag: --no"],
  [["--constructor"], "unknown flag: --constructor"],
  [["-ix"], "unknown shorthand flag: 'x' in -ix"],
  [["--name"], "flag needs an argument: --name"],
  [["-p"], "flag needs an argument: -p, --publish"],
  [["--rm=x"], 'invalid argument "x" for "--rm" flag'],
])("%p is refused", (words, sentence) => {
  expect(() => parse(...words)).toThrow(sentence);
});
