import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ContentStore, type Run } from "../layers/content.ts";
import { makeFile, writePart } from "./output.ts";

const store = new ContentStore();
const directory = mkdtempSync(join(tmpdir(), "urunc-output-"));
afterAll(() => {
  store.close();
  rmSync(directory, { recursive: true });
});

test.each([0, 1, 1000, 1 << 20, (1 << 20) + 1, 5_000_000])(
  "a file's runs and holes are where they belong, behind %d other bytes",
  (before) => {
    const size = 6_000_000;
    const content = Buffer.alloc(size);
    const runs: Run[] = [];
    for (const [at, length] of [
      [0, 10],
      [10, 5000],
      [100_000, 3_000_000],
      [3_200_000, 1],
      [size - 4, 4],
    ] as const) {
      const bytes = Buffer.alloc(length, runs.length + 1);
      bytes.copy(content, at);
      runs.push({ at, position: store.position, length });
      store.append(bytes);
    }
    const path = join(directory, "file");
    for (const [from, to] of [
      [0, size],
      [5, 100_001],
      [50_000, 60_000],
      [3_199_999, size - 1],
    ] as const) {
      makeFile(path, (output) => {
        output.write(Buffer.alloc(before, "b"));
        writePart(output, store, { size, runs }, from, to);
        return before + to - from;
      });
      const expected = Buffer.concat([Buffer.alloc(before, "b"), content.subarray(from, to)]);
      expect(readFileSync(path).equals(expected)).toBe(true);
    }
  },
);
