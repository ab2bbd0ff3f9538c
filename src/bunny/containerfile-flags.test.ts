import { expect, test } from "bun:test";
import { readContainerfileFlags, refuseContainerfileFlags } from "./containerfile-flags.ts";

test("without flags it is the last stage, with a network, made bootable", () => {
  expect(readContainerfileFlags({}, {})).toEqual({ buildArgs: new Map(), network: "user", plain: false });
});

test("a build argument without a value has that of the environment, if there is one", () => {
  const flags = { "build-arg": ["A=1=2", "B", "C", "D="] };
  expect([...readContainerfileFlags(flags, { B: "b" }).buildArgs]).toEqual([
    ["A", "1=2"],
    ["B", "b"],
    ["D", ""],
  ]);
});

test("flags are read", () => {
  const flags = { target: "x", network: "none", memory: "1g", plain: true };
  expect(readContainerfileFlags(flags, {})).toMatchObject({
    target: "x",
    network: "none",
    memory: 2 ** 30,
    plain: true,
  });
});

test.each([
  [{ network: "host" }, '--network is default or none, not "host": machines of RUN have'],
  [{ network: "bridge" }, '--network is default or none, not "bridge"'],
  [{ memory: "much" }, 'invalid argument "much" for "-m, --memory" flag'],
  [{ "build-arg": ["=1"] }, '--build-arg is NAME or NAME=VALUE, not "=1"'],
])("%j is refused", (flags, sentence) => {
  expect(() => readContainerfileFlags(flags, {})).toThrow(sentence);
});

test("they are refused for a bunnyfile", () => {
  expect(() => refuseContainerfileFlags({}, "bunnyfile")).not.toThrow();
  expect(() => refuseContainerfileFlags({ target: "x", plain: true }, "bunnyfile")).toThrow(
    "--target and --plain are for Containerfiles, and bunnyfile is a bunnyfile",
  );
});
