import type { Architecture } from "../bunnyfile/bunnyfile.ts";

/** Bytes of a file's start that tell what it is. */
export const KERNEL_START = 1 << 16;

const ELF_MACHINES: Readonly<Record<number, Architecture>> = { 62: "amd64", 183: "arm64" };
const PE_MACHINES: Readonly<Record<number, Architecture>> = { 34404: "amd64", 43620: "arm64" };

/** What a file is said to be: a kernel of Linux, or a sentence's end on why it is none. */
export type KernelKind =
  | { kind: "kernel"; format: "vmlinux" | "bzImage" | "Image"; architecture: Architecture }
  | { kind: "other"; why: string };

/**
 * Tells a kernel of Linux by its start: an ELF file that is linked to the upper half of the addresses, a bzImage
 * (Documentation/arch/x86/boot.rst), or an Image (Documentation/arch/arm64/booting.rst).
 *
 * @param start {@link KERNEL_START} bytes, fewer of a smaller file
 */
export function kernelKind(start: Uint8Array): KernelKind {
  const bytes = Buffer.from(start.buffer, start.byteOffset, start.byteLength);
  const text = (at: number, length: number) => bytes.toString("latin1", at, at + length);
  if (text(0, 4) === "\x7fELF") return elfKind(bytes);
  if (bytes.length > 0x238 && bytes.readUInt16LE(0x1fe) === 0xaa55 && text(0x202, 4) === "HdrS") {
    const has64BitEntry = (bytes.readUInt16LE(0x236) & 1) !== 0;
    if (!has64BitEntry) return other("it is a bzImage for processors with 32 bits");
    return { kind: "kernel", format: "bzImage", architecture: "amd64" };
  }
  if (text(56, 4) === "ARM\x64") return { kind: "kernel", format: "Image", architecture: "arm64" };
  if (text(0, 2) === "MZ" && text(4, 4) === "zimg") return zbootKind(bytes);
  for (const [magic, name] of [
    ["\x1f\x8b", "gzip"],
    ["\x28\xb5\x2f\xfd", "zstd"],
    ["\xfd7zXZ", "xz"],
  ] as const) {
    if (text(0, magic.length) === magic) return other(`it is compressed with ${name}: unpack it first`);
  }
  return other("it is neither a vmlinux (ELF), nor a bzImage, nor an Image of arm64");
}

function elfKind(bytes: Buffer): KernelKind {
  // 64 bits, the lowest byte first.
  if (bytes.length < 64 || bytes[4] !== 2 || bytes[5] !== 1) {
    return other("it is an ELF file for processors with 32 bits or another order of bytes");
  }
  const machine = bytes.readUInt16LE(18);
  const architecture = ELF_MACHINES[machine];
  if (architecture === undefined)
    return other(`it is an ELF file for another processor (machine ${machine})`);
  const offset = Number(bytes.readBigUInt64LE(32));
  const [size, count] = [bytes.readUInt16LE(54), bytes.readUInt16LE(56)];
  for (let index = 0; index < count; index++) {
    const at = offset + index * size;
    if (at + 56 > bytes.length) break;
    const isLoaded = bytes.readUInt32LE(at) === 1;
    // A program is linked to the lower half.
    if (isLoaded && bytes.readBigUInt64LE(at + 16) >= 0xffff_0000_0000_0000n) {
      return { kind: "kernel", format: "vmlinux", architecture };
    }
  }
  return other("it is an ELF file, but a program and no kernel");
}

/** A kernel that unpacks itself under UEFI, which a monitor cannot start without a firmware. */
function zbootKind(bytes: Buffer): KernelKind {
  const at = bytes.length > 64 ? bytes.readUInt32LE(60) : 0;
  const machine = at + 6 <= bytes.length ? PE_MACHINES[bytes.readUInt16LE(at + 4)] : undefined;
  return other(
    `it is a compressed EFI image${machine === undefined ? "" : ` for ${machine}`}: use the Image in it`,
  );
}

function other(why: string): KernelKind {
  return { kind: "other", why };
}
