import { expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DEFAULT_CONFIG, loadConfig, parseConfig } from "./config.ts";
import { findShareFiles } from "./share.ts";

test("every key is read, and the rest keeps its default", () => {
  const config = parseConfig(
    `[runtime]
engine = "crun"
boot_timeout_ms = 5000
[monitors.qemu]
default_memory_mb = 512
share = "9p"
[extra_binaries.virtiofsd]
path = "/opt/virtiofsd"
`,
    "/c.toml",
  );
  expect(config).toEqual({
    ...DEFAULT_CONFIG,
    engine: "crun",
    bootTimeout: 5000,
    virtiofsd: "/opt/virtiofsd",
    qemu: { memoryMiB: 512, vcpus: 1, share: "9p" },
  });
});

test("what is wrong is named by its line or key, and never becomes a default", () => {
  expect(() => parseConfig("[runtime\n", "/c.toml")).toThrow("/c.toml, line 1, is not TOML");
  expect(() => parseConfig('[runtime]\nengin = "x"\n', "/c.toml")).toThrow("unknown key runtime.engin");
  expect(() => parseConfig("[monitors.qemu]\ndefault_vcpus = 0\n", "/c.toml")).toThrow("from 1 to 32");
  expect(() => parseConfig('[monitors.qemu]\nshare = "nfs"\n', "/c.toml")).toThrow('"virtiofs" or "9p"');
  expect(() => parseConfig('[runtime]\nshare = "relative"\n', "/c.toml")).toThrow("an absolute path");
});

test("a file that the environment names must be there", () => {
  expect(() => loadConfig({ URUNC_CONFIG_FILE: "/does/not/exist" })).toThrow("cannot read the configuration");
});

test("a kernel that is missing or no ELF file is named, and so is each other file", () => {
  const directory = mkdtempSync(join(tmpdir(), "urunc-share-"));
  try {
    expect(() => findShareFiles(directory)).toThrow("vmlinux is missing");
    mkdirSync(join(directory, "vmlinux"));
    expect(() => findShareFiles(directory)).toThrow("vmlinux is missing");
    rmSync(join(directory, "vmlinux"), { recursive: true });
    writeFileSync(join(directory, "vmlinux"), "MZ\0\0");
    expect(() => findShareFiles(directory)).toThrow("is not an ELF file");
    writeFileSync(join(directory, "vmlinux"), "\x7fELF");
    expect(() => findShareFiles(directory)).toThrow("initramfs.cpio is missing");
    writeFileSync(join(directory, "initramfs.cpio"), "0");
    expect(() => findShareFiles(directory)).toThrow("urunc-standin is missing");
    writeFileSync(join(directory, "urunc-standin"), "\x7fELF");
    expect(findShareFiles(directory).directory).toBe(directory);
  } finally {
    rmSync(directory, { recursive: true });
  }
});
