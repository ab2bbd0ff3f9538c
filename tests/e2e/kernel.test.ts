import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import type { KernelFigures } from "../../src/kernel/build.ts";
import { compare, parseConfiguration } from "../../src/kernel/configuration.ts";
import { optionsOf } from "../../src/kernel/fragment.ts";
import { readFragments } from "../../src/kernel/library.ts";
import { command, succeed, until } from "../harness/command.ts";

setDefaultTimeout(90_000);

const checkout = resolve(import.meta.dir, "../..");
const bunny = join(checkout, "dist/bin/bunny");
const share = join(checkout, "dist/share/urunc");
const fragments = join(checkout, "kernel");

/** What the project promises of its kernel. */
const MOST_BYTES = 5_000_000;
const MOST_OPTIONS = 450;

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "urunc-kernel-"));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

describe("the built kernel", () => {
  const figures = () => JSON.parse(readFileSync(join(share, "kernel.json"), "utf8")) as KernelFigures;

  test("its compressed image is small", () => {
    const size = readFileSync(join(share, "bzImage")).length;
    expect(figures().sizes.bzImage).toBe(size);
    expect(size).toBeLessThanOrEqual(MOST_BYTES);
  });

  test("it has few options that somebody has to know the meaning of", () => {
    const { enabled, selectable, chosen } = figures().options;
    expect(selectable).toBeLessThanOrEqual(MOST_OPTIONS);
    expect(chosen).toBeLessThanOrEqual(selectable);
    const config = readFileSync(join(share, "kernel.config"), "utf8");
    expect(enabled).toBe(config.match(/^CONFIG_\w+=y$/gm)?.length ?? 0);
  });

  test("it has every option as the fragments say", () => {
    const config = parseConfiguration(readFileSync(join(share, "kernel.config"), "utf8"));
    expect(compare(optionsOf(readFragments(fragments, [])), config)).toEqual([]);
  });

  test("vmlinux is ELF, without symbols, and has the note of the PVH entry", async () => {
    const vmlinux = join(share, "vmlinux");
    expect(readFileSync(vmlinux).subarray(0, 4).toString("latin1")).toBe("\x7fELF");
    expect(figures().sizes.vmlinux).toBe(readFileSync(vmlinux).length);
    // XEN_ELFNOTE_PHYS32_ENTRY
    expect(await succeed(["readelf", "-n", vmlinux])).toMatch(/Xen\s+0x0000000[48]\s.*0x0*12\b/);
    expect(await succeed(["readelf", "-s", vmlinux])).toBe("");
  });

  test("is in the cache: to build it again is to copy it", async () => {
    const output = join(directory, "again");
    const began = performance.now();
    const said = await succeed([bunny, "kernel", "build", "--output", output], { timeoutMs: 30_000 });
    expect(performance.now() - began).toBeLessThan(5000);
    expect(said).toContain("from the cache");
    expect(readdirSync(output).sort()).toEqual(["bzImage", "kernel.config", "kernel.json", "vmlinux"]);
    for (const file of readdirSync(output)) {
      expect(readFileSync(join(output, file)).equals(readFileSync(join(share, file)))).toBe(true);
    }
  });
});

describe("bunny kernel config", () => {
  test("says of each option why it is there", async () => {
    const text = await succeed([bunny, "kernel", "config"]);
    const json = JSON.parse(await succeed([bunny, "kernel", "config", "--format", "json"]));
    const options = optionsOf(readFragments(fragments, []));
    for (const { option, reason } of options) {
      expect(text).toContain(option);
      expect(text).toContain(reason);
    }
    const listed = json.fragments.flatMap((fragment: { options: unknown[] }) => fragment.options);
    expect(listed).toEqual(
      options.map(({ option, value, reason, line }) => ({ option, value: value ?? null, reason, line })),
    );
    expect(json.counts.on + json.counts.off).toBe(options.length);
    expect(text).toContain(`${json.counts.on} options set`);
  });

  test("as a configuration file it is one that the kernel's tools read", async () => {
    const config = await succeed([bunny, "kernel", "config", "--format", "config", "--with", "ia32"]);
    expect(compare(optionsOf(readFragments(fragments, ["ia32"])), parseConfiguration(config))).toEqual([]);
  });

  test.each([
    [["config", "--formt", "json"], "'--formt'"],
    [["config", "--format", "xml"], "text, config, json"],
    [["build", "--with", "nothing"], "known are"],
    [["build", "--jobs", "0"], "--jobs"],
    [["build", "--source", "/nonexistent"], "/nonexistent"],
    [["make"], "bunny kernel --help"],
  ])("%j is refused in one line", async (words, part) => {
    const result = await command([bunny, "kernel", ...words]);
    expect(result.exitCode).toBe(1);
    expect(result.stdout).toBe("");
    expect(result.stderr).toContain(part);
    expect(result.stderr.trimEnd()).not.toContain("\n");
  });
});

describe("a build that does not come to its end", () => {
  /** With a cache of its own, so that nothing is in it and all that is left is seen. */
  function prepare(name: string) {
    const home = join(directory, name);
    const own = join(home, "fragments");
    const output = join(home, "output");
    const kernels = join(home, "cache/urunc/kernel");
    cpSync(fragments, own, { recursive: true });
    const env = { ...process.env, XDG_CACHE_HOME: join(home, "cache") } as Record<string, string>;
    const argv = [bunny, "kernel", "build", "--fragments", own, "--output", output];
    const names = () => (existsSync(kernels) ? readdirSync(kernels) : []);
    const work = () => names().filter((entry) => entry.startsWith("work-"));
    const spawn = () => Bun.spawn(argv, { env, stdin: "ignore", stdout: "pipe", stderr: "pipe" });
    return { argv, env, own, output, names, work, spawn };
  }

  test("an option that the kernel does not have is named, and nothing is left", async () => {
    const { argv, env, own, output, names } = prepare("bogus");
    const place = join(own, "99-bogus.config");
    writeFileSync(place, "# Nothing.\n\n# To be refused.\nCONFIG_URUNC_BOGUS=y\n");
    const result = await command(argv, { env });
    expect(result.exitCode).toBe(1);
    expect(result.stderr).toContain(`${place}:4: CONFIG_URUNC_BOGUS=y: dropped`);
    expect(names()).toEqual(["sources"]);
    expect(existsSync(output)).toBe(false);
  });

  test("a killed build is no hindrance, a second one waits, an interrupted one leaves nothing", async () => {
    const { output, names, work, spawn } = prepare("ended");
    const killed = spawn();
    const [left] = await until("the source is being unpacked", () => work().length > 0 && work());
    killed.kill("SIGKILL");
    await killed.exited;

    const next = spawn();
    await until("it has a tree of its own", () => work().length > 0 && !work().includes(left as string));
    const waiting = spawn();
    const reader = waiting.stderr.getReader();
    expect(new TextDecoder().decode((await reader.read()).value)).toContain("waiting for another build");
    waiting.kill("SIGINT");
    expect(await waiting.exited).toBe(130);
    expect(work().length).toBe(1);

    next.kill("SIGTERM");
    expect(await next.exited).toBe(130);
    expect(await new Response(next.stderr).text()).toContain("interrupted");
    expect(names()).toEqual(["sources"]);
    expect(existsSync(output)).toBe(false);
  });
});
