import { afterAll, beforeEach, expect, test } from "bun:test";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { UruncError } from "../errors.ts";
import { ensureMonitorTree, FIRMWARE_PLACE } from "./tree.ts";

const program = realpathSync("/usr/bin/find");
const parent = mkdtempSync(join(tmpdir(), "urunc-tree-"));
let cacheRoot: string;
let count = 0;

beforeEach(() => {
  cacheRoot = join(parent, `cache-${++count}`);
});
afterAll(() => rmSync(parent, { recursive: true, force: true }));

test("a program runs with nothing but its tree", async () => {
  const tree = await ensureMonitorTree({ program, cacheRoot });
  expect(readFileSync(join(tree, program))).toEqual(readFileSync(program));
  expect(statSync(join(tree, program)).mode & 0o7777).toBe(0o755);
  if (process.getuid?.() !== 0) return;
  const root = join(parent, "root");
  mkdirSync(root);
  cpSync(join(tree, "usr"), join(root, "usr"), { recursive: true });
  for (const name of ["lib", "lib64"]) symlinkSync(`usr/${name}`, join(root, name));
  const run = Bun.spawnSync(["chroot", root, program, "/", "-name", "libc.so.6"]);
  expect(run.stderr.toString()).toBe("");
  expect(run.stdout.toString()).toMatch(/^\/usr\/lib.*\/libc\.so\.6\n$/);
});

test("a helper is in the tree too, and makes it another", async () => {
  const helper = realpathSync("/usr/bin/xargs");
  const tree = await ensureMonitorTree({ program, helpers: [helper], cacheRoot });
  for (const path of [program, helper]) expect(readFileSync(join(tree, path))).toEqual(readFileSync(path));
  expect(await ensureMonitorTree({ program, cacheRoot })).not.toBe(tree);
  expect(await ensureMonitorTree({ program, helpers: [helper], cacheRoot })).toBe(tree);
});

test("a program that is linked statically is alone in its tree, without what QEMU has besides", async () => {
  const alone = realpathSync("/usr/sbin/ldconfig");
  const tree = await ensureMonitorTree({ program: alone, isQemu: false, cacheRoot });
  const paths = readdirSync(join(tree, "usr"), { recursive: true, encoding: "utf8" });
  const files = paths.filter((path) => statSync(join(tree, "usr", path)).isFile());
  expect(files).toEqual([alone.slice("/usr/".length)]);
});

test("the tree is kept", async () => {
  const tree = await ensureMonitorTree({ program, cacheRoot });
  const made = statSync(tree).ino;
  expect(await ensureMonitorTree({ program, cacheRoot })).toBe(tree);
  expect(statSync(tree).ino).toBe(made);
});

test("a damaged tree is made anew", async () => {
  const tree = await ensureMonitorTree({ program, cacheRoot });
  const copy = join(tree, program);
  const { size } = statSync(copy);
  const damages = [
    () => rmSync(copy),
    () => truncateSync(copy, 10),
    () => writeFileSync(copy, Buffer.alloc(size)),
    () => rmSync(join(tree, "usr"), { recursive: true }),
    () => rmSync(tree, { recursive: true }),
    () => {
      for (const name of readdirSync(cacheRoot)) {
        if (name.endsWith(".json")) writeFileSync(join(cacheRoot, name), "{");
      }
    },
  ];
  for (const damage of damages) {
    damage();
    expect(await ensureMonitorTree({ program, cacheRoot })).toBe(tree);
    expect(readFileSync(copy)).toEqual(readFileSync(program));
  }
});

test("the tree is looked for again when the loader's own list of libraries has changed", async () => {
  const tree = await ensureMonitorTree({ program, cacheRoot });
  const [name = ""] = readdirSync(cacheRoot).filter((one) => one.endsWith(".json"));
  const entry = join(cacheRoot, name);
  const manifest = JSON.parse(readFileSync(entry, "utf8")) as { sources: { place: string }[] };
  // As if a library had not been needed then.
  const sources = manifest.sources.filter(({ place }) => !place.includes("libc.so"));
  expect(sources).not.toHaveLength(manifest.sources.length);
  writeFileSync(entry, JSON.stringify({ ...manifest, sources, key: "other", loaderCache: "another" }));
  expect(await ensureMonitorTree({ program, cacheRoot })).toBe(tree);
});

test("any number may ask for it at once", async () => {
  const trees = await Promise.all(Array.from({ length: 8 }, () => ensureMonitorTree({ program, cacheRoot })));
  expect(new Set(trees).size).toBe(1);
  // The tree and its entry: nothing temporary is left.
  expect(readdirSync(cacheRoot)).toHaveLength(2);
  expect(existsSync(join(trees[0] ?? "", program))).toBe(true);
});

test("what is no program of the host's is refused", async () => {
  const text = join(parent, "text");
  writeFileSync(text, "#!/bin/sh\n");
  for (const path of [text, "/usr/share/no-such-program", "/usr/lib/os-release"]) {
    const error = await ensureMonitorTree({ program: path, cacheRoot }).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(UruncError);
    expect((error as UruncError).code).toBe("internal");
    expect((error as UruncError).message).toContain(path);
  }
});

test("firmware that is named is in the tree where QEMU is told to look, and follows what it was made of", async () => {
  const firmware = join(parent, "firmware");
  mkdirSync(firmware);
  const missing = await ensureMonitorTree({ program, firmware, cacheRoot }).catch(
    (reason: unknown) => reason,
  );
  expect(missing).toMatchObject({ code: "monitor-missing", message: expect.stringContaining(firmware) });
  for (const text of ["one", "another"]) {
    writeFileSync(join(firmware, "bios-microvm.bin"), text);
    const tree = await ensureMonitorTree({ program, firmware, cacheRoot });
    expect(readFileSync(join(tree, FIRMWARE_PLACE, "bios-microvm.bin"), "utf8")).toBe(text);
    expect(existsSync(join(tree, FIRMWARE_PLACE, "pvh.bin"))).toBe(false);
    expect(existsSync(join(tree, program))).toBe(true);
  }
});
