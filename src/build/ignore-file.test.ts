import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readIgnoreRules } from "./ignore-file.ts";

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "urunc-ignore-"));
});
afterAll(() => rmSync(directory, { recursive: true }));

/** Which of three names is ignored, in a context that has these files. */
function ignored(files: Record<string, string>, containerfile: string | undefined): string[] {
  const context = mkdtempSync(join(directory, "context-"));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(context, name), text);
  const path = containerfile === undefined ? undefined : join(context, containerfile);
  const rules = readIgnoreRules(path, context);
  return ["beside", "podman", "docker"].filter((name) => rules.isIgnored(name));
}

const ALL = {
  "web.dockerignore": "beside\n",
  ".containerignore": "podman\n",
  ".dockerignore": "docker\n",
};

test("the file beside the Containerfile goes before those of the context", () => {
  expect(ignored(ALL, "web")).toEqual(["beside"]);
  expect(ignored(ALL, "other")).toEqual(["podman"]);
  expect(ignored(ALL, undefined)).toEqual(["podman"]);
  expect(ignored({ ".dockerignore": "docker\n" }, "web")).toEqual(["docker"]);
  expect(ignored({}, "web")).toEqual([]);
});

test("one that cannot be read is no missing one", () => {
  const context = mkdtempSync(join(directory, "context-"));
  mkdirSync(join(context, ".dockerignore"));
  expect(() => readIgnoreRules(undefined, context)).toThrow(`cannot read ${context}/.dockerignore`);
});
