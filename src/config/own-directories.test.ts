import { expect, test } from "bun:test";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  cacheDirectory,
  currentOwner,
  dataDirectory,
  makeOwnDirectory,
  runDirectory,
  stateDirectory,
} from "./own-directories.ts";

const root = { uid: 0, home: "/root", environment: { XDG_RUNTIME_DIR: "/run/user/0" } };
const user = { uid: 1000, home: "/home/user", environment: {} };

test("what runs is below /run for root, and in the user's own directory for another", () => {
  expect(runDirectory("x", root)).toBe("/run/x");
  expect(runDirectory("x", user)).toBe("/tmp/x-1000");
  const environment = { XDG_RUNTIME_DIR: "/run/user/1000" };
  expect(runDirectory("x", { ...user, environment })).toBe("/run/user/1000/x");
  expect(runDirectory("x", { ...user, environment: { XDG_RUNTIME_DIR: "run" } })).toBe("/tmp/x-1000");
});

test("caches, states and data are where the XDG Base Directory Specification has them", () => {
  expect(cacheDirectory("x", user)).toBe("/home/user/.cache/x");
  expect(stateDirectory("x", user)).toBe("/home/user/.local/state/x");
  expect(dataDirectory("x", user)).toBe("/home/user/.local/share/x");
  const environment = { XDG_CACHE_HOME: "/c", XDG_STATE_HOME: "/s", XDG_DATA_HOME: "/d" };
  expect(cacheDirectory("x", { ...user, environment })).toBe("/c/x");
  expect(stateDirectory("x", { ...user, environment })).toBe("/s/x");
  expect(dataDirectory("x", { ...user, environment })).toBe("/d/x");
});

test("a directory that others made, link or may write to is refused", () => {
  const directory = mkdtempSync(join(tmpdir(), "urunc-own-"));
  const owner = currentOwner();
  try {
    makeOwnDirectory(join(directory, "a/b"), owner);
    makeOwnDirectory(join(directory, "a/b"), owner);
    expect(() => makeOwnDirectory(join(directory, "a/b"), { ...owner, uid: owner.uid + 1 })).toThrow(
      "not a directory of this user alone",
    );
    symlinkSync("a", join(directory, "link"));
    expect(() => makeOwnDirectory(join(directory, "link"), owner)).toThrow("of this user alone");
    mkdirSync(join(directory, "open"));
    chmodSync(join(directory, "open"), 0o777);
    expect(() => makeOwnDirectory(join(directory, "open"), owner)).toThrow("of this user alone");
  } finally {
    rmSync(directory, { recursive: true });
  }
});
