// biome-ignore-all lint/suspicious/noTemplateCurlyInString: variables of Containerfiles
import { expect, test } from "bun:test";
import { expand } from "./expand.ts";

const VARIABLES = new Map(
  Object.entries({
    HOME: "/root",
    NAME: "web",
    EMPTY: "",
    FILE: "dir/sub/archive.tar.gz",
    LIST: "a  b",
    STARS: "x**",
    UMLAUT: "äöü",
  }),
);

function text(word: string, options = {}): string {
  return expand(word, VARIABLES, { escapeToken: "\\", ...options }).text;
}

test.each([
  ["plain", "plain"],
  ["$NAME", "web"],
  ["${NAME}x", "webx"],
  ["$NAMEx", ""],
  ["$NAME.x", "web.x"],
  ["$", "$"],
  ["$.", "$."],
  ["\\$NAME", "$NAME"],
  ["\\\\$NAME", "\\web"],
  ["'$NAME'", "$NAME"],
  ['"$NAME"', "web"],
  ['"\\$NAME"', "$NAME"],
  ['"a\\tb"', "a\\tb"],
  ["a\\tb", "atb"],
  ["'a\\tb'", "a\\tb"],
  ["a\\", "a"],
  ["it\\'s", "it's"],
  ['"it\'s"', "it's"],
  ["$1", ""],
  ["$1x", "x"],
  ["$@x", "x"],
  ["${NONE}", ""],
  ["${NONE:-d}", "d"],
  ["${NONE-d}", "d"],
  ["${EMPTY:-d}", "d"],
  ["${EMPTY-d}", ""],
  ["${NAME:-d}", "web"],
  ["${NAME:+d}", "d"],
  ["${EMPTY:+d}", ""],
  ["${EMPTY+d}", "d"],
  ["${NONE+d}", ""],
  ["${NONE:-${NAME}}", "web"],
  ["${NONE:-${NONE:-$HOME}}/x", "/root/x"],
  ["${NONE:-a\\}b}", "a}b"],
  ["${NAME}}", "web}"],
  ["${NAME?no}", "web"],
  ["${EMPTY?no}", ""],
  ["${FILE#*/}", "sub/archive.tar.gz"],
  ["${FILE##*/}", "archive.tar.gz"],
  ["${FILE%.*}", "dir/sub/archive.tar"],
  ["${FILE%%.*}", "dir/sub/archive"],
  ["${FILE#nothing}", "dir/sub/archive.tar.gz"],
  ["${FILE#dir/???/}", "archive.tar.gz"],
  ["${STARS%%\\**}", "x"],
  ["${UMLAUT#?}", "öü"],
  ["${UMLAUT%?}", "äö"],
  ["${NONE#x}", ""],
  ["${FILE/a/A}", "dir/sub/Archive.tar.gz"],
  ["${FILE//a/A}", "dir/sub/Archive.tAr.gz"],
  ["${FILE//\\//-}", "dir-sub-archive.tar.gz"],
  ["${FILE/*./}", "gz"],
  ["${NAME//*/x}", "x"],
  ["안녕$NAME", "안녕web"],
])("%s is %s", (word, expected) => {
  expect(text(word)).toBe(expected);
});

test.each([
  ["'a", "single-quote"],
  ['"a', "double-quote"],
  ["${", "missing '}'"],
  ["${NAME", "missing '}'"],
  ["${NAME:-a", "missing '}'"],
  ["${}", "bad substitution"],
  ["${{a}", "bad substitution"],
  ["${:-a}", "bad substitution"],
  ["${NAME:=a}", "unsupported modifier (:=)"],
  ["${NAME:#a}", "unsupported modifier (:#)"],
  ["${NAME^}", "unsupported modifier (^)"],
  ["${NAME/a}", "missing '/'"],
  ["${NONE?}", "NONE: is not allowed to be unset"],
  ["${EMPTY:?}", "EMPTY: is not allowed to be empty"],
  ["${NONE:?say $NAME}", "NONE: say web"],
  ["${NAME#\\x}", "invalid escape"],
])("%s is refused: %s", (word, sentence) => {
  expect(() => text(word)).toThrow(sentence);
});

test("words are split at spaces that are not quoted, in values too", () => {
  expect(expand('a $LIST "$LIST" c\\ d', VARIABLES, { escapeToken: "\\" }).words).toEqual([
    "a",
    "a",
    "b",
    "a  b",
    "c d",
  ]);
});

test("another letter is the escape if the file says so", () => {
  expect(text("c:\\$NAME`$NAME", { escapeToken: "`" })).toBe("c:\\web$NAME");
});

test("what a shell will read again keeps its quotes, escapes, and variables that are not set", () => {
  const options = { keepQuotes: true, keepEscapes: true, keepUnset: true };
  expect(text("echo '$NAME' \"$NAME\" \\$x $NONE ${NONE:-1}", options)).toBe(
    "echo '$NAME' \"web\" \\$x $NONE ${NONE:-1}",
  );
});

test("in text that is no word quotes are letters", () => {
  expect(text("it's $NAME", { ignoreQuotes: true })).toBe("it's web");
});

test("names of variables are told that have no value where one is needed", () => {
  const { unset } = expand("$A ${B:-$C} ${D#x} ${E+x} ${F/x/y} $NAME", VARIABLES, { escapeToken: "\\" });
  expect([...unset]).toEqual(["A", "C", "D", "F"]);
});

test("a value does not grow without end", () => {
  const variables = new Map([["A", "x".repeat(60_000)]]);
  expect(() => expand("$A".repeat(20), variables, { escapeToken: "\\" })).toThrow("longer than 1 MiB");
  expect(() => expand("${A#*b}", variables, { escapeToken: "\\" })).toThrow("longer than 8192 letters");
  expect(() => expand("${B:-".repeat(5000), variables, { escapeToken: "\\" })).toThrow("more than 100");
});

test("a pattern of many stars takes no longer than one of few", () => {
  const variables = new Map([["A", "a".repeat(8000)]]);
  const pattern = "*a".repeat(200);
  expect(expand(`\${A##${pattern}b}`, variables, { escapeToken: "\\" }).text).toBe("a".repeat(8000));
});
