import { expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ContainerDirectory } from "../container/directory.ts";
import { parseGlobal } from "./context.ts";
import { type FlagSpecs, parseFlags } from "./flags.ts";
import { Log } from "./log.ts";
import { SandboxProcess } from "./sandbox-process.ts";

const specs: FlagSpecs = {
  bundle: { kind: "string", short: "b", help: "" },
  force: { kind: "boolean", short: "f", help: "" },
};

test("flags are taken with one dash or two, with = or a word, until the first word that is none", () => {
  for (const words of [
    ["--bundle", "/b c", "--force", "id", "--bundle"],
    ["-b=/b c", "-f", "id", "--bundle"],
    ["-bundle=/b c", "--force=true", "--", "id", "--bundle"],
  ]) {
    expect(parseFlags(words, specs, "urunc x")).toEqual({
      strings: { bundle: "/b c" },
      booleans: { force: true },
      lists: {},
      rest: ["id", "--bundle"],
    });
  }
});

test("an unknown flag, a missing value and a wrong truth value are each one sentence", () => {
  expect(() => parseFlags(["--nope"], specs, "urunc x")).toThrow("urunc x has no flag --nope");
  expect(() => parseFlags(["--bundle"], specs, "urunc x")).toThrow("--bundle needs a value");
  expect(() => parseFlags(["--force=maybe"], specs, "urunc x")).toThrow("--force is true or false");
  expect(() => parseFlags(["--toString"], specs, "urunc x")).toThrow("has no flag");
});

test("the engine gets the log and the cgroup manager in its own words", () => {
  const words = ["--root", "/r", "--log", "/l", "--log-format", "json", "--cgroup-manager=systemd", "list"];
  const { flags, context } = parseGlobal(words);
  expect(flags.rest).toEqual(["list"]);
  expect(context().engineFlags).toEqual(["--log", "/l", "--log-format", "json", "--systemd-cgroup"]);
  expect(context().root).toBe("/r");
  expect(() => parseGlobal(["--cgroup-manager", "disabled"]).context()).toThrow("use cgroupfs or systemd");
  expect(() => parseGlobal(["--log-format", "xml"])).toThrow("unknown log-format");
});

test("an error is one JSON line that Docker reads, whatever characters it has", () => {
  const directory = mkdtempSync(join(tmpdir(), "urunc-log-"));
  try {
    const path = join(directory, "log.json");
    new Log(path, "json", false).warning('a "quoted"\nline');
    new Log(path, "json", false).debug("not shown");
    const [line = "", ...more] = readFileSync(path, "utf8").split("\n");
    expect(JSON.parse(line)).toMatchObject({ level: "warning", msg: 'a "quoted"\nline' });
    expect(more).toEqual([""]);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test("a process id that another process has got since is not taken for the sandbox's", () => {
  const root = mkdtempSync(join(tmpdir(), "urunc-process-"));
  try {
    const directory = new ContainerDirectory(root, "x");
    directory.make();
    expect(SandboxProcess.read(directory)).toBeUndefined();
    Bun.write(directory.pidFile, `${process.pid}`);
    expect(SandboxProcess.note(directory)?.isAlive()).toBe(true);
    const noted = readFileSync(directory.processFile, "utf8");
    expect(SandboxProcess.read(directory)?.isAlive()).toBe(true);
    Bun.write(directory.processFile, noted.replace(/\d+\n$/, "1\n"));
    expect(SandboxProcess.read(directory)?.isAlive()).toBe(false);
  } finally {
    rmSync(root, { recursive: true });
  }
});
