import { afterAll, beforeEach, expect, test } from "bun:test";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { noteUse, removeOldTrees } from "./old-trees.ts";

const HOUR_MS = 3_600_000;
const OLD = "a".repeat(64);
const USED = "b".repeat(64);

const parent = mkdtempSync(join(tmpdir(), "urunc-old-trees-"));
let cacheRoot: string;
let count = 0;

beforeEach(() => {
  cacheRoot = join(parent, `cache-${++count}`);
  for (const [key, hours, entry] of [
    [OLD, 25, "c"],
    [USED, 23, "d"],
  ] as const) {
    mkdirSync(join(cacheRoot, key, "usr"), { recursive: true });
    writeFileSync(join(cacheRoot, key, "usr/program"), "");
    writeFileSync(join(cacheRoot, `${entry.repeat(64)}.json`), JSON.stringify({ key }));
    setAge(join(cacheRoot, key), hours);
  }
});
afterAll(() => rmSync(parent, { recursive: true, force: true }));

function setAge(path: string, hours: number): void {
  const seconds = (Date.now() - hours * HOUR_MS) / 1000;
  utimesSync(path, seconds, seconds);
}

function remove(): void {
  removeOldTrees(cacheRoot, () => join(cacheRoot, `.temporary-${Math.random()}`));
}

test("a tree that nothing has used for a day goes with its entry, and nothing else", () => {
  writeFileSync(join(cacheRoot, "other"), "not a tree");
  remove();
  expect(readdirSync(cacheRoot).sort()).toEqual([USED, `${"d".repeat(64)}.json`, "other"].sort());
});

test("a use keeps a tree", () => {
  noteUse(join(cacheRoot, OLD));
  expect(Date.now() - statSync(join(cacheRoot, OLD)).mtimeMs).toBeLessThan(HOUR_MS);
  remove();
  expect(existsSync(join(cacheRoot, OLD, "usr/program"))).toBe(true);
});

test("to note the use of a tree that is not there is nothing", () => {
  noteUse(join(cacheRoot, "e".repeat(64)));
  expect(existsSync(join(cacheRoot, "e".repeat(64)))).toBe(false);
});

test.skipIf(process.getuid?.() !== 0)("a tree that a mount namespace has stays, however old", async () => {
  const target = join(parent, "mounted");
  mkdirSync(target);
  const holder = Bun.spawn(
    ["unshare", "--mount", "sh", "-c", `mount --bind "$1" "$2" && echo mounted && exec cat`, "sh"].concat(
      join(cacheRoot, OLD, "usr"),
      target,
    ),
    { stdin: "pipe", stdout: "pipe" },
  );
  const { value } = await holder.stdout.getReader().read();
  expect(new TextDecoder().decode(value)).toBe("mounted\n");
  remove();
  expect(existsSync(join(cacheRoot, OLD, "usr/program"))).toBe(true);
  holder.stdin.end();
  await holder.exited;
  remove();
  expect(existsSync(join(cacheRoot, OLD))).toBe(false);
});
