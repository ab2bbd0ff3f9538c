import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { UruncError } from "../errors.ts";
import { ContainerDirectory, RECORD_VERSION } from "./directory.ts";

const root = mkdtempSync(join(tmpdir(), "urunc-directory-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

test("a record of another version can be listed and removed, and is refused for all else with a sentence", () => {
  const directory = new ContainerDirectory(root, "c1");
  directory.make();
  directory.write({ version: RECORD_VERSION, kind: "engine", id: "c1", bundle: "/bundle" });
  expect(directory.readWhole()).toEqual({
    version: RECORD_VERSION,
    kind: "engine",
    id: "c1",
    bundle: "/bundle",
  });
  const path = join(directory.path, "container.json");
  const newer = { ...JSON.parse(readFileSync(path, "utf8")), version: RECORD_VERSION + 1, more: true };
  writeFileSync(path, JSON.stringify(newer));
  expect(directory.read()).toEqual(newer);
  const refusal = () => directory.readWhole();
  expect(refusal).toThrow(UruncError);
  expect(refusal).toThrow(
    /^the container c1 was created by another version of urunc .*: use that one for it, or delete/,
  );
});
