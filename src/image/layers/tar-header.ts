import { UruncError } from "../../errors.ts";
import type { ByteString } from "./tree.ts";

/** Headers and padding are in units of this many bytes. */
export const TAR_BLOCK = 512;

/** A run of a sparse file: where in the file, and how long. */
export interface SparseRun {
  offset: number;
  length: number;
}

/** A header's block, decoded; pax(1) "ustar Interchange Format" and GNU tar's `tar.h`. */
export interface TarHeader {
  name: ByteString;
  mode: number;
  uid: number;
  gid: number;
  /** Bytes that follow in the archive. */
  size: number;
  /** Seconds since 1970. */
  mtime: number;
  /** One character; `0` for the NUL of old archives. */
  type: string;
  linkName: ByteString;
  major: number;
  minor: number;
  /** Of type `S` only: the first runs, whether a block with more follows, and the file's size. */
  sparse?: { runs: SparseRun[]; more: boolean; size: number };
}

interface Field {
  offset: number;
  length: number;
}

const NAME: Field = { offset: 0, length: 100 };
const MODE: Field = { offset: 100, length: 8 };
const UID: Field = { offset: 108, length: 8 };
const GID: Field = { offset: 116, length: 8 };
const SIZE: Field = { offset: 124, length: 12 };
const MTIME: Field = { offset: 136, length: 12 };
const CHECKSUM: Field = { offset: 148, length: 8 };
const TYPE_OFFSET = 156;
const LINK_NAME: Field = { offset: 157, length: 100 };
const MAGIC: Field = { offset: 257, length: 6 };
const MAJOR: Field = { offset: 329, length: 8 };
const MINOR: Field = { offset: 337, length: 8 };
/** What stands before the name with the magic of POSIX; GNU has other things there. */
const PREFIX: Field = { offset: 345, length: 155 };
const GNU_SPARSE_OFFSET = 386;
const GNU_SPARSE_RUNS = 4;
const GNU_MORE_OFFSET = 482;
const GNU_REAL_SIZE: Field = { offset: 483, length: 12 };
/** In a block that continues the runs of the header. */
const EXTENSION_RUNS = 21;
const EXTENSION_MORE_OFFSET = 504;
const RUN_LENGTH = 24;

/**
 * Decodes one block.
 *
 * @returns `undefined` for a block of zeros, which ends an archive
 * @throws UruncError `layer-invalid` for a wrong checksum or a number that is none
 */
export function decodeHeader(block: Buffer): TarHeader | undefined {
  const sums = checksums(block);
  if (sums.unsigned === 8 * 0x20) return undefined;
  const digits = text(block, CHECKSUM).trim();
  const wanted = /^[0-7]+$/.test(digits) ? Number.parseInt(digits, 8) : undefined;
  // Old programs summed signed characters.
  if (wanted !== sums.unsigned && wanted !== sums.signed) {
    throw invalid("has a header with a wrong checksum: it is no tar archive, or damaged");
  }
  const magic = block.toString("latin1", MAGIC.offset, MAGIC.offset + MAGIC.length);
  const type = String.fromCharCode(block[TYPE_OFFSET] || 0x30);
  const prefix = magic === "ustar\0" ? text(block, PREFIX) : "";
  const name = text(block, NAME);
  const isDevice = type === "3" || type === "4";
  return {
    name: prefix === "" ? name : `${prefix}/${name}`,
    mode: number(block, MODE, "mode"),
    uid: number(block, UID, "user"),
    gid: number(block, GID, "group"),
    size: number(block, SIZE, "size"),
    mtime: number(block, MTIME, "time"),
    type,
    linkName: text(block, LINK_NAME),
    major: isDevice ? number(block, MAJOR, "major number") : 0,
    minor: isDevice ? number(block, MINOR, "minor number") : 0,
    ...(type === "S"
      ? {
          sparse: {
            runs: sparseRuns(block, GNU_SPARSE_OFFSET, GNU_SPARSE_RUNS),
            more: block[GNU_MORE_OFFSET] !== 0,
            size: number(block, GNU_REAL_SIZE, "size"),
          },
        }
      : {}),
  };
}

/** Decodes a block that continues the sparse runs of a header of type `S`. */
export function decodeSparseExtension(block: Buffer): { runs: SparseRun[]; more: boolean } {
  return { runs: sparseRuns(block, 0, EXTENSION_RUNS), more: block[EXTENSION_MORE_OFFSET] !== 0 };
}

function sparseRuns(block: Buffer, offset: number, count: number): SparseRun[] {
  const runs: SparseRun[] = [];
  for (let index = 0; index < count; index++) {
    const start = offset + index * RUN_LENGTH;
    if (block[start] === 0) break;
    runs.push({
      offset: number(block, { offset: start, length: 12 }, "sparse run"),
      length: number(block, { offset: start + 12, length: 12 }, "sparse run"),
    });
  }
  return runs;
}

/** Octal digits, or with the first bit set a big-endian number of two's complement (GNU's base-256). */
function number(block: Buffer, { offset, length }: Field, what: string): number {
  const first = block[offset] as number;
  if (first & 0x80) {
    let value = first & 0x40 ? -1n : 0n;
    value = (value << 6n) | BigInt(first & 0x3f);
    for (let index = 1; index < length; index++)
      value = (value << 8n) | BigInt(block[offset + index] as number);
    if (value > BigInt(Number.MAX_SAFE_INTEGER) || value < BigInt(Number.MIN_SAFE_INTEGER)) {
      throw invalid(`has a ${what} that is too large`);
    }
    return Number(value);
  }
  const digits = block
    .toString("latin1", offset, offset + length)
    .replace(/^[ \0]+/, "")
    .replace(/[ \0].*$/s, "");
  if (!/^[0-7]*$/.test(digits)) throw invalid(`has a ${what} that is no number`);
  return digits === "" ? 0 : Number.parseInt(digits, 8);
}

/** Bytes up to a NUL or the field's end. */
function text(block: Buffer, { offset, length }: Field): ByteString {
  const bytes = block.toString("latin1", offset, offset + length);
  const end = bytes.indexOf("\0");
  return end < 0 ? bytes : bytes.slice(0, end);
}

/** The sum of all bytes, those of the checksum itself taken for spaces. */
function checksums(block: Buffer): { unsigned: number; signed: number } {
  let unsigned = 0;
  let signed = 0;
  for (let index = 0; index < TAR_BLOCK; index++) {
    const isChecksum = index >= CHECKSUM.offset && index < CHECKSUM.offset + CHECKSUM.length;
    const byte = isChecksum ? 0x20 : (block[index] as number);
    unsigned += byte;
    signed += byte < 0x80 ? byte : byte - 0x100;
  }
  // A block of zeros but for its checksum's field is none: its sum is no zero there.
  if (
    unsigned === 8 * 0x20 &&
    block.subarray(CHECKSUM.offset, CHECKSUM.offset + CHECKSUM.length).some(Boolean)
  ) {
    throw invalid("has a header without a name");
  }
  return { unsigned, signed };
}

/** What is wrong with a layer, or with another archive that is read as one. */
export class ArchiveError extends UruncError {
  /** The sentence without its subject, as `has a header with a wrong checksum`. */
  readonly what: string;

  constructor(what: string) {
    super("layer-invalid", `the layer ${what}`);
    this.what = what;
  }
}

/** The error of a layer that is not what it should be. */
export function invalid(what: string): ArchiveError {
  return new ArchiveError(what);
}
