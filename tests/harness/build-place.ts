import { expect } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { type CommandResult, command, succeed } from "./command.ts";
import { ensureImage } from "./images.ts";
import { type Registry, startRegistry } from "./registry.ts";

const DIST = resolve(import.meta.dir, "../../dist");
export const BUNNY = join(DIST, "bin/bunny");
/** What an installation has for guests. */
export const SHARE = join(DIST, "share/urunc");

/** How bunnyfiles of the tests begin, and how those do that take our kernel. */
export const START = "version: v0.1\nplatforms: {framework: linux, monitor: qemu, architecture: x86}\n";
export const BUILTIN = `${START}kernel: {from: builtin}\n`;

/** Where bunny builds: a registry with images, and for each test a store and a context of its own. */
export class BuildPlace {
  readonly registry: Registry;
  /** Images of the registry. */
  readonly busybox: string;
  readonly redis: string;
  #directory = "";

  private constructor(registry: Registry) {
    this.registry = registry;
    this.busybox = `${registry.host}/test/busybox:1`;
    this.redis = `${registry.host}/test/redis:1`;
  }

  static async open(): Promise<BuildPlace> {
    const archives = await Promise.all([ensureImage("busybox"), ensureImage("redis")]);
    const place = new BuildPlace(await startRegistry());
    for (const [index, name] of [place.busybox, place.redis].entries()) {
      const source = `docker-archive:${archives[index]?.archive}`;
      const made = mkdtempSync(join(tmpdir(), "urunc-build-"));
      await succeed([BUNNY, "copy", "-q", "--store", made, source, `docker://${name}`]);
      rmSync(made, { recursive: true });
    }
    return place;
  }

  /** For one test. */
  begin(): void {
    this.#directory = mkdtempSync(join(tmpdir(), "urunc-build-"));
    mkdirSync(this.context);
  }

  end(): void {
    rmSync(this.#directory, { recursive: true, force: true });
  }

  close(): Promise<void> {
    return this.registry.stop();
  }

  /** The test's own, removed at its end. */
  get directory(): string {
    return this.#directory;
  }

  get context(): string {
    return join(this.#directory, "context");
  }

  get store(): string {
    return join(this.#directory, "store");
  }

  /** Writes a file of the context. */
  write(name: string, content: string | Uint8Array): void {
    mkdirSync(join(this.context, name, ".."), { recursive: true });
    writeFileSync(join(this.context, name), content);
  }

  run(args: readonly string[], env: Record<string, string> = {}): Promise<CommandResult> {
    return command([BUNNY, ...args], {
      env: { PATH: process.env["PATH"] ?? "", HOME: this.#directory, TMPDIR: tmpdir(), ...env },
    });
  }

  /** Runs bunny with the store, which must succeed; gives the last word of its output, which is a digest. */
  async bunny(words: readonly string[], env: Record<string, string> = {}): Promise<string> {
    const [name = "", ...rest] = words;
    const args = name === "kernel" || name === "urunit" ? [name, rest.shift() as string] : [name];
    const result = await this.run([...args, "--store", this.store, ...rest], env);
    if (result.exitCode !== 0) throw new Error(`bunny ${words.join(" ")}: ${result.stderr}`);
    return result.stdout.trimEnd().split(/\s/).at(-1) ?? "";
  }

  /** Builds a bunnyfile; gives the image's digest. */
  build(bunnyfile: string, flags: readonly string[] = [], env: Record<string, string> = {}): Promise<string> {
    this.write("bunnyfile", bunnyfile);
    return this.bunny(["build", "-q", ...flags, this.context], env);
  }

  /** What nothing but a whole image leaves. */
  expectTidy(): void {
    expect(readdirSync(this.store).filter((name) => name === "ingest")).toEqual([]);
  }
}
