import { afterEach, beforeEach, expect } from "bun:test";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BUNNY } from "./build-place.ts";
import { type CommandResult, command } from "./command.ts";

/** bunny, with stores of images that each test has for itself. */
export interface ImageStores {
  /** The test's own, removed at its end: the user's home, with all stores. */
  readonly directory: string;
  /** In which bunny runs. */
  environment(): Record<string, string>;
  /** The path of a store, which need not be there. */
  store(name?: string): string;
  /** The digests of what is in a store, in hexadecimal. */
  blobs(name?: string): string[];
  /** Runs bunny to its end. */
  run(args: readonly string[], env?: Record<string, string>): Promise<CommandResult>;
  /** Runs bunny, which must succeed; gives the last word of its output, which is a digest where there is one. */
  bunny(...args: string[]): Promise<string>;
  /** Runs bunny, which must fail with one sentence; gives that. */
  refused(args: readonly string[], env?: Record<string, string>): Promise<string>;
}

/** Makes a directory before each test of a file, and removes it behind it. */
export function useImageStores(): ImageStores {
  let directory = "";
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "urunc-images-"));
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  const environment = () => ({
    PATH: process.env["PATH"] ?? "",
    HOME: directory,
    TMPDIR: process.env["TMPDIR"] ?? "/tmp",
  });
  const store = (name = "store") => join(directory, name);
  const run = (args: readonly string[], env: Record<string, string> = {}) =>
    command([BUNNY, ...args], { env: { ...environment(), ...env } });
  return {
    get directory() {
      return directory;
    },
    environment,
    store,
    blobs: (name = "store") => readdirSync(join(store(name), "blobs/sha256")).sort(),
    run,
    async bunny(...args) {
      const result = await run(args);
      if (result.exitCode !== 0) throw new Error(`bunny ${args.join(" ")}: ${result.stderr}`);
      return result.stdout.trimEnd().split(/\s/).at(-1) ?? "";
    },
    async refused(args, env = {}) {
      const { exitCode, stdout, stderr } = await run(args, env);
      expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: "" });
      const lines = stderr.trimEnd().split("\n");
      expect(lines.filter((line) => !line.startsWith("sha256:")).length).toBe(1);
      return lines.at(-1) ?? "";
    },
  };
}
