import { afterEach, beforeEach, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openMade, type Recipe } from "./made-once.ts";

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "urunc-made-"));
});
afterEach(() => rmSync(directory, { recursive: true }));

const key = (digit: string) => digit.repeat(64);

function recipe(change: Partial<Recipe> = {}): Recipe & { count: number } {
  const own = {
    marker: "whole",
    most: 2 ** 30,
    count: 0,
    async make(path: string) {
      own.count++;
      await Bun.sleep(10);
      writeFileSync(join(path, "whole"), "x".repeat(8192));
    },
    ...change,
  };
  return own;
}

test("an entry is made once, however many ask", async () => {
  const made = recipe();
  const entries = await Promise.all(Array.from({ length: 20 }, () => openMade(directory, key("a"), made)));
  expect(made.count).toBe(1);
  expect(entries.filter((entry) => entry.made)).toHaveLength(1);
  for (const entry of entries) entry.release();
});

test("what a killed process has left of any entry goes when one is made", async () => {
  for (const [name, file] of [
    ["a", ".whole.1234.partial"],
    ["b", ".whole.5678.partial"],
  ] as const) {
    mkdirSync(join(directory, key(name)), { recursive: true });
    writeFileSync(join(directory, key(name), file), "half");
  }
  (await openMade(directory, key("a"), recipe())).release();
  expect(readdirSync(directory)).toEqual([key("a")]);
  expect(readdirSync(join(directory, key("a")))).toEqual(["whole"]);
});

test("one that is kept by others stays beyond the bound, the least used of the rest goes", async () => {
  const kept = key("a");
  const bounded = recipe({ most: 1, isKept: (path) => path.endsWith(kept) });
  for (const name of ["a", "b", "c"]) {
    (await openMade(directory, key(name), recipe())).release();
    utimesSync(join(directory, key(name), "whole"), 1000, 1000);
  }
  const last = await openMade(directory, key("d"), bounded);
  expect(readdirSync(directory).sort()).toEqual([kept, key("d")]);
  last.release();
  expect(existsSync(join(last.path, "whole"))).toBe(true);
});
