import { expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { UruncError } from "../errors.ts";
import { optionLine, optionsOf, parseFragment } from "./fragment.ts";

const parse = (...lines: string[]) => parseFragment(lines.join("\n"), "a.config");

function refusal(...lines: string[]): string {
  try {
    parse(...lines);
  } catch (error) {
    expect(error).toBeInstanceOf(UruncError);
    expect((error as UruncError).code).toBe("kernel-build");
    return (error as Error).message;
  }
  throw new Error("not refused");
}

test("an option has the comment above it as its reason", () => {
  expect(parse("# Programs", "# of 64 bits.", "CONFIG_64BIT=y").options).toEqual([
    { option: "CONFIG_64BIT", value: "y", reason: "Programs of 64 bits.", file: "a.config", line: 3 },
  ]);
});

test("options without a comment between them share their reason, the next comment is another's", () => {
  const { options } = parse("# One.", "CONFIG_A=y", "CONFIG_B=y", "# Two.", "CONFIG_C=y");
  expect(options.map(({ option, reason }) => [option, reason])).toEqual([
    ["CONFIG_A", "One."],
    ["CONFIG_B", "One."],
    ["CONFIG_C", "Two."],
  ]);
});

test("the head that no option follows is the title", () => {
  const fragment = parse("# The machine.", "", "# Why.", "CONFIG_A=y", "", "# Nobody's.", "");
  expect(fragment.title).toBe("The machine.");
  expect(fragment.options[0]?.reason).toBe("Why.");
  expect(parse("# Why.", "CONFIG_A=y").title).toBe("");
});

test("values: on, numbers, texts, switched off", () => {
  const lines = [
    "CONFIG_A=y",
    "CONFIG_B=32",
    "CONFIG_C=-1",
    "CONFIG_D=0x10",
    'CONFIG_E="a=b"',
    'CONFIG_F=""',
  ];
  const { options } = parse("# Why.", ...lines, "# CONFIG_G is not set");
  expect(options.map((option) => option.value)).toEqual(["y", "32", "-1", "0x10", '"a=b"', '""', undefined]);
  expect(options.map(optionLine)).toEqual([...lines, "# CONFIG_G is not set"]);
});

test.each(["m", "n", "", "yes", '"open'])("the value %j is refused with its place", (value) => {
  expect(refusal("# Why.", `CONFIG_A=${value}`)).toStartWith("a.config:2: CONFIG_A has the value ");
});

test("an option without a reason is refused", () => {
  expect(refusal("CONFIG_A=y")).toBe(
    "a.config:1: CONFIG_A has no reason: write a comment line directly above it",
  );
  expect(refusal("# Why.", "", "CONFIG_A=y")).toStartWith("a.config:3: CONFIG_A has no reason");
  expect(refusal("# Why.", "CONFIG_A=y", "", "# CONFIG_B is not set")).toStartWith(
    "a.config:4: CONFIG_B has",
  );
  expect(refusal("#", "CONFIG_A=y")).toStartWith("a.config:2: CONFIG_A has no reason");
});

test("an option twice is refused, in one fragment and in two", () => {
  const sentence = (place: string) =>
    `${place}: CONFIG_A is there twice, first in a.config:2: remove one of them`;
  expect(refusal("# Why.", "CONFIG_A=y", "# CONFIG_A is not set")).toBe(sentence("a.config:3"));
  const other = parseFragment("# Why.\nCONFIG_A=y", "b.config");
  expect(() => optionsOf([parse("# Why.", "CONFIG_A=y"), other])).toThrow(sentence("b.config:2"));
});

test("a line that is neither option nor comment is refused", () => {
  expect(refusal("# Why.", "CONFIG A=y")).toContain('a.config:2: "CONFIG A=y" is neither');
});

test("our own fragments are right", () => {
  const directory = join(import.meta.dir, "../../kernel");
  const names = ["", "optional"].flatMap((below) =>
    readdirSync(join(directory, below))
      .filter((name) => name.endsWith(".config"))
      .map((name) => join(below, name)),
  );
  const fragments = names.map((name) => parseFragment(readFileSync(join(directory, name), "utf8"), name));
  expect(optionsOf(fragments).length).toBeGreaterThan(100);
  expect(fragments.filter((fragment) => fragment.title === "").map((fragment) => fragment.file)).toEqual([]);
});
