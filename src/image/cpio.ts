import { UruncError } from "../errors.ts";

/** One entry of an archive. Its parents are entries before it. */
export type CpioEntry = {
  /** Relative, without `.` and `..`. */
  path: string;
  /** Permission bits, with set-id and sticky; what kind of file it is comes from `type`. */
  mode: number;
  /** Default 0. */
  uid?: number;
  /** Default 0. */
  gid?: number;
} & (
  | { type: "directory" }
  | { type: "file"; data: Uint8Array }
  | { type: "link"; target: string }
  | { type: "character" | "block"; major: number; minor: number }
);

const FILE_TYPES: Readonly<Record<CpioEntry["type"], number>> = {
  directory: 0o040000,
  file: 0o100000,
  link: 0o120000,
  character: 0o020000,
  block: 0o060000,
};

/** Eight hexadecimal digits. */
const MAX_FIELD = 0xffff_ffff;
/** Linux passes over an entry with a longer path or target. */
const MAX_PATH = 4095;

/** The last entry. */
const TRAILER = "TRAILER!!!";

/** The fields that differ between entries: nothing of the machine where the archive is made. */
export interface CpioHeader {
  inode: number;
  /** Kind of file and permission bits. */
  mode: number;
  uid: number;
  gid: number;
  links: number;
  /** Seconds since 1970. */
  mtime: number;
  major: number;
  minor: number;
}

/**
 * Writes a cpio archive in the `newc` format, which is what Linux unpacks as its first root. The same entries give
 * the same bytes.
 *
 * @throws UruncError `internal` for an entry that the format cannot hold
 */
export function writeCpio(entries: readonly CpioEntry[]): Uint8Array {
  const seen = new Set<string>();
  const parts: Uint8Array[] = [];
  entries.forEach((entry, index) => {
    checkPath(entry.path);
    if (seen.has(entry.path)) throw invalid(entry.path, "is there twice");
    seen.add(entry.path);
    const isDevice = entry.type === "character" || entry.type === "block";
    const header: CpioHeader = {
      inode: index + 1,
      mode: FILE_TYPES[entry.type] | field(entry.path, "mode", entry.mode, 0o7777),
      uid: field(entry.path, "uid", entry.uid ?? 0),
      gid: field(entry.path, "gid", entry.gid ?? 0),
      links: entry.type === "directory" ? 2 : 1,
      mtime: 0,
      major: isDevice ? field(entry.path, "major number", entry.major) : 0,
      minor: isDevice ? field(entry.path, "minor number", entry.minor) : 0,
    };
    parts.push(...record(entry.path, header, content(entry)));
  });
  parts.push(CPIO_END);
  return new Uint8Array(Buffer.concat(parts));
}

function content(entry: CpioEntry): Uint8Array {
  switch (entry.type) {
    case "file":
      field(entry.path, "size", entry.data.length);
      return entry.data;
    case "link":
      if (entry.target === "" || entry.target.includes("\0") || Buffer.byteLength(entry.target) > MAX_PATH) {
        throw invalid(entry.path, "has a target that is no path");
      }
      return Buffer.from(entry.target);
    default:
      return new Uint8Array();
  }
}

function record(path: string, header: CpioHeader, data: Uint8Array): Uint8Array[] {
  return [cpioHeader(Buffer.from(path), header, data.length), data, cpioPadding(data.length)];
}

/** What stands before an entry's data in the format `newc`. The values must fit: 32 bits each. */
export function cpioHeader(path: Uint8Array, header: CpioHeader, size: number): Uint8Array {
  const fields = [
    header.inode,
    header.mode,
    header.uid,
    header.gid,
    header.links,
    header.mtime,
    size,
    0, // The device that the file is on, and the minor number of that.
    0,
    header.major,
    header.minor,
    path.length + 1,
    0, // A checksum, which this variant of the format does not have.
  ];
  const text = `070701${fields.map((value) => value.toString(16).padStart(8, "0").toUpperCase()).join("")}`;
  const start = Buffer.concat([Buffer.from(text), path, Buffer.alloc(1)]);
  return Buffer.concat([start, cpioPadding(start.length)]);
}

/** Zeros up to a multiple of four. */
export function cpioPadding(length: number): Uint8Array {
  return new Uint8Array(-length & 3);
}

function field(path: string, what: string, value: number, largest = MAX_FIELD): number {
  if (!Number.isSafeInteger(value) || value < 0 || value > largest) {
    throw invalid(path, `has a ${what} of ${value}, which does not fit`);
  }
  return value;
}

function checkPath(path: string): void {
  const words = path.split("/");
  // Covers the empty and the absolute path, and a slash too many.
  if (words.some((word) => word === "" || word === "." || word === "..")) {
    throw invalid(path, "is not a relative path without . and ..");
  }
  if (path.includes("\0") || Buffer.byteLength(path) > MAX_PATH) throw invalid(path, "is not a path");
  if (path === TRAILER) throw invalid(path, "is the name that ends an archive");
}

function invalid(path: string, what: string): UruncError {
  return new UruncError("internal", `the archive's entry ${JSON.stringify(path)} ${what}`);
}

/** What ends an archive. */
export const CPIO_END: Uint8Array = cpioHeader(
  Buffer.from(TRAILER),
  { inode: 0, mode: 0, uid: 0, gid: 0, links: 1, mtime: 0, major: 0, minor: 0 },
  0,
);
