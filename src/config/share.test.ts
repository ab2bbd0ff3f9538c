import { expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findShareFiles } from "./share.ts";

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
