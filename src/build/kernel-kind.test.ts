import { expect, test } from "bun:test";
import { kernelKind } from "./kernel-kind.ts";

/** An ELF file with one part that is loaded at an address. */
function elf(machine: number, address: bigint, bits = 2): Buffer {
  const file = Buffer.alloc(128);
  file.write("\x7fELF", 0, "latin1");
  file[4] = bits;
  file[5] = 1;
  file.writeUInt16LE(machine, 18);
  file.writeBigUInt64LE(64n, 32);
  file.writeUInt16LE(56, 54);
  file.writeUInt16LE(1, 56);
  file.writeUInt32LE(1, 64);
  file.writeBigUInt64LE(address, 80);
  return file;
}

function bzImage(flags: number): Buffer {
  const file = Buffer.alloc(1024);
  file.writeUInt16LE(0xaa55, 0x1fe);
  file.write("HdrS", 0x202);
  file.writeUInt16LE(flags, 0x236);
  return file;
}

function image(): Buffer {
  const file = Buffer.alloc(64);
  file.write("MZ", 0);
  file.write("ARM\x64", 56, "latin1");
  return file;
}

test.each([
  ["vmlinux", elf(62, 0xffff_ffff_8100_0000n), "amd64"],
  ["vmlinux", elf(183, 0xffff_8000_8000_0000n), "arm64"],
  ["bzImage", bzImage(1), "amd64"],
  ["Image", image(), "arm64"],
] as const)("a %s is a kernel", (format, file, architecture) => {
  expect(kernelKind(file)).toEqual({ kind: "kernel", format, architecture });
});

test.each([
  ["a program", elf(62, 0x40_0000n), "a program and no kernel"],
  ["another processor's", elf(243, 0xffff_ffff_8000_0000n), "machine 243"],
  ["32 bits", elf(3, 0xc000_0000n, 1), "32 bits"],
  ["headers that lead nowhere", elf(62, 0n).fill(0xff, 32, 40), "a program and no kernel"],
  ["an ELF file that is cut off", elf(62, 0n).subarray(0, 20), "32 bits or another order"],
  ["a bzImage of 32 bits", bzImage(0), "32 bits"],
  ["a kernel in EFI's form", Buffer.from("MZ\0\0zimg"), "compressed EFI image"],
  ["gzip", Buffer.from([0x1f, 0x8b, 8, 0]), "compressed with gzip"],
  ["zstd", Buffer.from([0x28, 0xb5, 0x2f, 0xfd]), "compressed with zstd"],
  ["xz", Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a]), "compressed with xz"],
  ["a text", Buffer.from("text"), "neither a vmlinux"],
  ["nothing", Buffer.alloc(0), "neither a vmlinux"],
] as const)("%s is none", (_, file, why) => {
  expect(kernelKind(file)).toEqual({ kind: "other", why: expect.stringContaining(why) });
});
