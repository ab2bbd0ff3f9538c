import { afterEach, beforeEach, expect, test } from "bun:test";
import { chmodSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { locateMonitor } from "./locate.ts";

let directory: string;
const path = process.env["PATH"];

beforeEach(() => {
  directory = realpathSync(mkdtempSync(join(tmpdir(), "urunc-locate-")));
});

afterEach(() => {
  rmSync(directory, { recursive: true });
  process.env["PATH"] = path;
});

function program(name: string, mode = 0o755): string {
  const file = join(directory, name);
  writeFileSync(file, "");
  chmodSync(file, mode);
  return file;
}

test("the configured program is taken, its links resolved", () => {
  const real = program("qemu-7");
  const link = join(directory, "qemu");
  symlinkSync("qemu-7", link);
  expect(locateMonitor("qemu", real)).toBe(real);
  expect(locateMonitor("qemu", link)).toBe(real);
});

test("a configured path that is no program is an error, not a search", () => {
  const missing = join(directory, "missing");
  const plain = program("plain", 0o644);
  mkdirSync(join(directory, "directory"));
  symlinkSync("nowhere", join(directory, "dangling"));
  for (const name of ["missing", "plain", "directory", "dangling"]) {
    expect(() => locateMonitor("qemu", join(directory, name))).toThrow(
      `the configured path of qemu, ${join(directory, name)}, is not an absolute path of a program`,
    );
  }
  expect(() => locateMonitor("firecracker", "")).toThrow("the configured path of firecracker, ,");
  expect(() => locateMonitor("qemu", relative(process.cwd(), plain))).toThrow("is not an absolute path");
  expect(() => locateMonitor("qemu", missing)).toThrow(expect.objectContaining({ code: "monitor-missing" }));
});

test("a relative path is refused even where it leads to a program", () => {
  expect(() => locateMonitor("qemu", relative(process.cwd(), program("here")))).toThrow(
    "is not an absolute path",
  );
});

// A monitor that Debian does not have, so that the system's directories decide nothing.
test("the caller's PATH is searched in its order, absolute directories only", () => {
  mkdirSync(join(directory, "first"));
  mkdirSync(join(directory, "second"));
  writeFileSync(join(directory, "first/cloud-hypervisor"), "", { mode: 0o644 });
  const second = program("second/cloud-hypervisor");
  process.env["PATH"] = `${directory}/first::${directory}/second`;
  expect(locateMonitor("cloud-hypervisor")).toBe(second);
  chmodSync(join(directory, "first/cloud-hypervisor"), 0o755);
  expect(locateMonitor("cloud-hypervisor")).toBe(join(directory, "first/cloud-hypervisor"));
  process.env["PATH"] = relative(process.cwd(), join(directory, "second"));
  expect(() => locateMonitor("cloud-hypervisor")).toThrow("cloud-hypervisor is not installed; install it");
  delete process.env["PATH"];
  expect(() => locateMonitor("cloud-hypervisor")).toThrow(
    expect.objectContaining({ code: "monitor-missing" }),
  );
});
