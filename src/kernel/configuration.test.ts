import { describe, expect, test } from "bun:test";
import { compare, count, parseConfiguration } from "./configuration.ts";
import { parseFragment } from "./fragment.ts";
import { expectedSeconds, firstGuess, isObjectLine, minutes } from "./progress.ts";
import { promptsIn } from "./prompts.ts";
import { versionIn } from "./source.ts";

const requested = (...lines: string[]) => parseFragment(["# Why.", ...lines].join("\n"), "a.config").options;
const resulting = (...lines: string[]) => parseConfiguration(lines.join("\n"));

test("a configuration is the options that are set", () => {
  const text = [
    "#",
    "# Linux/x86",
    "CONFIG_A=y",
    "# CONFIG_B is not set",
    'CONFIG_C="x=y"',
    "CONFIG_D=0",
    "",
  ];
  expect([...resulting(...text)]).toEqual([
    ["CONFIG_A", "y"],
    ["CONFIG_C", '"x=y"'],
    ["CONFIG_D", "0"],
  ]);
});

describe("compared with what was asked for", () => {
  test("nothing to say if all is as requested", () => {
    const lines = ["CONFIG_A=y", "CONFIG_B=32", 'CONFIG_C="c"'];
    expect(compare(requested(...lines, "# CONFIG_D is not set"), resulting(...lines))).toEqual([]);
  });

  test("an option that was dropped", () => {
    expect(compare(requested("CONFIG_A=y", "CONFIG_NONE=y"), resulting("CONFIG_A=y"))).toEqual([
      "a.config:3: CONFIG_NONE=y: dropped, as this kernel has no such option or something that it depends on is off",
    ]);
  });

  test("an option that stays on", () => {
    expect(compare(requested("# CONFIG_A is not set"), resulting("CONFIG_A=y"))).toEqual([
      "a.config:2: # CONFIG_A is not set: it is on all the same (y), as another option needs it",
    ]);
  });

  test("another value", () => {
    expect(compare(requested("CONFIG_A=32"), resulting("CONFIG_A=64"))).toEqual([
      "a.config:2: CONFIG_A=32: the kernel's configuration has 64",
    ]);
  });
});

test("options are counted: all, those with a prompt, those of the fragments", () => {
  const configuration = resulting("CONFIG_A=y", "CONFIG_B=y", "CONFIG_HAVE_C=y", "CONFIG_N=3", "CONFIG_D=y");
  const options = requested("CONFIG_A=y", "CONFIG_N=3", "CONFIG_D=y", "# CONFIG_E is not set");
  expect(count(configuration, options, new Set(["A", "B", "N", "E"]))).toEqual({
    enabled: 4,
    selectable: 3,
    chosen: 2,
  });
});

test("a symbol with a prompt is a person's choice", () => {
  const kconfig = `
config HAVE_THING
	bool

config THING
	bool "A thing" if EXPERT
	default y
	help
	  bool "not a prompt"

menuconfig BIG
	tristate 'A menu'

config HIDDEN
	def_bool y
	depends on X

choice
	prompt "One of"

config ONE
	bool
	prompt "One"

endchoice

config NUMBER
	int "How many"
`;
  expect(promptsIn(kconfig)).toEqual(["THING", "BIG", "ONE", "NUMBER"]);
});

test("the version of a source", () => {
  expect(versionIn("# x\nVERSION = 6\nPATCHLEVEL = 12\nSUBLEVEL = 117\nEXTRAVERSION =\nNAME = Posse\n")).toBe(
    "6.12.117",
  );
  expect(versionIn("VERSION = 6\nPATCHLEVEL = 13\nSUBLEVEL = 0\nEXTRAVERSION = -rc1\n")).toBe("6.13.0-rc1");
  expect(versionIn("all:\n\tcc x.c\n")).toBeUndefined();
});

describe("the progress of a build", () => {
  test("files are counted by make's lines", () => {
    const lines = [
      "  CC      kernel/fork.o",
      "  AS      a.o",
      "  LD      vmlinux",
      "  AR      fs/built-in.a",
    ];
    expect(lines.every(isObjectLine)).toBe(true);
    expect(["  GEN     x", "  CALL    y", "CC x", "make: entering"].some(isObjectLine)).toBe(false);
  });

  test("the guess becomes the speed", () => {
    const guess = firstGuess(2, { objects: 100, seconds: 200 });
    expect(expectedSeconds(guess, 10, 0, 0)).toBe(200);
    expect(expectedSeconds(guess, 300, 0, 0)).toBe(300);
    expect(expectedSeconds(guess, 70, 20, 50)).toBe(160);
    expect(expectedSeconds(guess, 130, 20, 150)).toBe(130);
    expect(firstGuess(4, undefined).seconds).toBeLessThan(firstGuess(2, undefined).seconds);
  });

  test("minutes and seconds", () => {
    expect(minutes(0)).toBe("0:00");
    expect(minutes(365.9)).toBe("6:05");
  });
});
