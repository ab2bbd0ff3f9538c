import type { Device, Inode } from "../layers/tree.ts";

const KIND_BITS: Readonly<Record<Inode["kind"], number>> = {
  fifo: 0o010000,
  character: 0o020000,
  directory: 0o040000,
  block: 0o060000,
  file: 0o100000,
  link: 0o120000,
};

/** `st_mode`: the kind of file and the permission bits. */
export function modeOf(inode: Inode): number {
  return KIND_BITS[inode.kind] | inode.mode;
}

/** A device's number as Linux keeps it in 32 bits, `new_encode_dev`: 12 bits of major, 20 of minor number. */
export function encodeDevice({ major, minor }: Device): number {
  return ((minor & 0xff) | (major << 8) | ((minor & ~0xff) << 12)) >>> 0;
}

const SOCKET_BITS = 0o140000;

/** The kind of file in `st_mode`; undefined where there is none of these bits. */
export function kindOf(mode: number): Inode["kind"] | "socket" | undefined {
  const bits = mode & 0o170000;
  if (bits === SOCKET_BITS) return "socket";
  return (Object.keys(KIND_BITS) as Inode["kind"][]).find((kind) => KIND_BITS[kind] === bits);
}

/** The reverse of {@link encodeDevice}. */
export function decodeDevice(device: number): Pick<Device, "major" | "minor"> {
  return { major: (device >>> 8) & 0xfff, minor: (device & 0xff) | ((device >>> 12) & 0xfff00) };
}
