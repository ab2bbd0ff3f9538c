import { afterAll, beforeEach, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Mount, Spec } from "../oci/runtime-spec.ts";
import { readResolvConf } from "./resolv-conf.ts";

const directory = mkdtempSync(join(tmpdir(), "urunc-resolv-"));
const bundle = join(directory, "bundle");
const etc = join(bundle, "rootfs/etc");

beforeEach(() => {
  rmSync(bundle, { recursive: true, force: true });
  mkdirSync(etc, { recursive: true });
  writeFileSync(join(etc, "resolv.conf"), "of the image\n");
  writeFileSync(join(directory, "outside"), "outside\n");
});

afterAll(() => rmSync(directory, { recursive: true, force: true }));

function read(...mounts: Mount[]): string {
  const spec: Spec = {
    ociVersion: "1.0.2",
    process: { user: { uid: 0, gid: 0 }, args: ["a"], cwd: "/" },
    root: { path: "rootfs" },
    mounts,
  };
  return readResolvConf(spec, bundle);
}

function bind(destination: string, source: string): Mount {
  return { destination, source, type: "bind", options: ["rbind"] };
}

function link(target: string): void {
  rmSync(join(etc, "resolv.conf"), { force: true });
  symlinkSync(target, join(etc, "resolv.conf"));
}

test("without a mount it is the image's", () => {
  expect(read({ destination: "/proc", type: "proc", source: "proc" })).toBe("of the image\n");
});

test("the last mount over it counts, whether of the file or of a directory", () => {
  writeFileSync(join(directory, "one"), "one\n");
  mkdirSync(join(directory, "two"), { recursive: true });
  writeFileSync(join(directory, "two/resolv.conf"), "two\n");
  const one = bind("/etc/./resolv.conf", join(directory, "one"));
  const two = bind("/etc/", join(directory, "two"));
  expect(read(one)).toBe("one\n");
  expect(read(one, two)).toBe("two\n");
  expect(read(two, one)).toBe("one\n");
  expect(read(bind("/etc/resolv.conf", "../one"))).toBe("one\n");
});

test("a file system that hides it has none", () => {
  expect(read({ destination: "/etc", type: "tmpfs", source: "tmpfs" })).toBe("");
});

test("links of the image do not leave its root", () => {
  link("../../../../outside");
  expect(read()).toBe("");
  writeFileSync(join(bundle, "rootfs/outside"), "inside\n");
  expect(read()).toBe("inside\n");
  link("/outside");
  expect(read()).toBe("inside\n");
});

test("what is no file, or leads in a circle, is none", () => {
  link("resolv.conf");
  expect(read()).toBe("");
  link("/etc");
  expect(read()).toBe("");
  link("/nowhere/at/all");
  expect(read()).toBe("");
  expect(read(bind("/etc/resolv.conf", join(directory, "missing")))).toBe("");
});

test("no more than 64 KiB are read", () => {
  writeFileSync(join(etc, "resolv.conf"), "#".repeat(100_000));
  expect(read().length).toBe(65_536);
});
