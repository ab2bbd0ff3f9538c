import { expect, test } from "bun:test";
import { type BlobState, progressLines } from "./progress.ts";

const blob = (name: string, bytes: number, size = 1000, done = false): BlobState => ({
  digest: `sha256:${name.repeat(64)}`,
  size,
  bytes,
  done,
});

test("a blob that is on its way has a bar as long as what has come of it", () => {
  const [none, half, all] = progressLines([blob("a", 0), blob("b", 500), blob("c", 1000)], 24, 50);
  expect(none).toBe("aaaaaaaaaaaa [--------------] 0 B of 1.0 kB");
  expect(half).toBe("bbbbbbbbbbbb [#######-------] 500 B of 1.0 kB");
  expect(all).toBe("cccccccccccc [##############] 1.0 kB of 1.0 kB");
});

test("what is there says whether it was copied", () => {
  expect(progressLines([blob("a", 1000, 1000, true), blob("b", 0, 1000, true)], 24, 80)).toEqual([
    "aaaaaaaaaaaa 1.0 kB copied",
    "bbbbbbbbbbbb 1.0 kB already there",
  ]);
});

test("bytes that come again, and more than there should be, leave the bar whole", () => {
  for (const bytes of [-500, 2000])
    expect(progressLines([blob("a", bytes)], 24, 60)[0]).toMatch(/ \[[#-]+\] /);
});

test.each([1, 2, 10, 13, 20, 30, 40, 80, 200])("no line is longer than %d columns", (columns) => {
  const blobs = [blob("a", 0), blob("b", 999_999, 1_000_000), blob("c", 5, 5, true)];
  for (const line of progressLines(blobs, 24, columns)) expect(line.length).toBeLessThan(columns);
});

test("of more blobs than rows those that are on their way are shown", () => {
  const blobs = [..."0123456789"].map((name) => blob(name, 1000, 1000, Number(name) < 6));
  expect(progressLines(blobs, 24, 80)).toHaveLength(10);
  const names = progressLines(blobs, 4, 80).map((line) => line.slice(0, 1));
  expect(names).toEqual(["6", "7", "8"]);
  expect(progressLines(blobs, 1, 80)).toHaveLength(1);
});
