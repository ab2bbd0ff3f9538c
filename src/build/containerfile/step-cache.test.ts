import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Layout } from "../../image/store/layout.ts";
import { plainMetadata } from "../entry.ts";
import { writeLayer } from "../layer.ts";
import { StepCache, stepKey } from "./step-cache.ts";

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "urunc-steps-"));
});
afterEach(() => rmSync(directory, { recursive: true }));

test("what a step came to is found again, as long as the store has its layer", async () => {
  const layout = Layout.openOrCreate(join(directory, "store"));
  const bytes = {
    kind: "bytes",
    path: "a",
    metadata: plainMetadata(0o644),
    bytes: Buffer.from("a"),
  } as const;
  const layer = await writeLayer(layout, [bytes]);
  const cache = new StepCache(join(directory, "steps"), layout, true);
  const key = stepKey(["base", "run", "true"]);
  expect(cache.find(key)).toBeUndefined();
  cache.keep(key, layer);
  cache.keep(stepKey(["other"]), "unchanged");
  expect(cache.find(key)).toEqual(layer);
  expect(cache.find(stepKey(["other"]))).toBe("unchanged");
  expect(new StepCache(join(directory, "steps"), layout, false).find(key)).toBeUndefined();
  writeFileSync(join(directory, "steps", stepKey(["damaged"])), "{");
  expect(cache.find(stepKey(["damaged"]))).toBeUndefined();
  rmSync(layout.blobPath(layer.descriptor.digest));
  expect(cache.find(key)).toBeUndefined();
});

test("words that run together differently are different steps", () => {
  expect(stepKey(["a", "b"])).not.toBe(stepKey(["ab"]));
  expect(stepKey([["a"], "b"])).not.toBe(stepKey(["a", "b"]));
});

test("what was not used for longest goes", () => {
  const layout = Layout.openOrCreate(join(directory, "store"));
  const cache = new StepCache(join(directory, "steps"), layout, true);
  for (const name of ["one", "two", "three"]) cache.keep(stepKey([name]), "unchanged");
  const past = new Date(1_000_000);
  for (const name of ["one", "two"]) utimesSync(join(directory, "steps", stepKey([name])), past, past);
  expect(cache.find(stepKey(["one"]))).toBe("unchanged");
  cache.tidy(2);
  expect(readdirSync(join(directory, "steps")).sort()).toEqual([stepKey(["one"]), stepKey(["three"])].sort());
});
