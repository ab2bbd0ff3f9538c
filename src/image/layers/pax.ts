import { invalid, type SparseRun } from "./tar-header.ts";
import type { ByteString, Time } from "./tree.ts";

/** A record of an extended header: values may hold any byte. */
export interface PaxRecord {
  key: ByteString;
  value: Buffer;
}

/** What extended headers say about one entry; what they do not say is `undefined`. */
export interface PaxAttributes {
  name?: ByteString;
  linkName?: ByteString;
  size?: number;
  uid?: number;
  gid?: number;
  mtime?: Time;
  xattrs: Map<ByteString, Buffer>;
  /** Of GNU's three formats of sparse files. */
  sparse?: PaxSparse;
}

export type PaxSparse =
  /** 0.0 and 0.1: the runs are in the header. */
  | { runs: SparseRun[]; size: number | undefined; name: ByteString | undefined }
  /** 1.0: the runs are in front of the file's data. */
  | { runs: undefined; size: number | undefined; name: ByteString | undefined };

const XATTR = "SCHILY.xattr.";
/** Longer numbers are none of file systems. */
const MAX_NUMBER = 32;

/**
 * Decodes the data of an extended header, pax(1) "pax Extended Header": records of `LENGTH KEY=VALUE\n`, the length
 * that of the whole record in decimal.
 *
 * @throws UruncError `layer-invalid` for a record that does not end where it says
 */
export function decodePax(data: Buffer): PaxRecord[] {
  const records: PaxRecord[] = [];
  for (let start = 0; start < data.length; ) {
    const space = data.indexOf(0x20, start);
    const digits = space < 0 ? "" : data.toString("latin1", start, Math.min(space, start + 10));
    const end = start + Number(digits);
    if (!/^[1-9][0-9]*$/.test(digits) || end > data.length || data[end - 1] !== 0x0a) {
      // GNU tar and others take what comes after the last record for padding.
      if (data.subarray(start).every((byte) => byte === 0)) break;
      throw invalid("has an extended header with a record of a wrong length");
    }
    const equals = data.indexOf(0x3d, space);
    if (equals < 0 || equals >= end - 1 || equals === space + 1) {
      throw invalid("has an extended header with a record that is no KEY=VALUE");
    }
    records.push({
      key: data.toString("latin1", space + 1, equals),
      value: data.subarray(equals + 1, end - 1),
    });
    start = end;
  }
  return records;
}

/**
 * What records say, those of global headers first: a later record of one key replaces an earlier one, and one without
 * a value takes it back.
 *
 * @throws UruncError `layer-invalid` for a value that is none of its key
 */
export function paxAttributes(records: readonly PaxRecord[]): PaxAttributes {
  const attributes: PaxAttributes = { xattrs: new Map() };
  const last = new Map<ByteString, Buffer>();
  for (const { key, value } of records) {
    if (!key.startsWith(XATTR)) last.set(key, value);
    else if (key.length === XATTR.length) throw invalid("has an extended attribute without a name");
    // An attribute's value may be empty.
    else attributes.xattrs.set(key.slice(XATTR.length), value);
  }
  const string = (key: string) => last.get(key)?.toString("latin1") || undefined;
  const name = (key: string) => {
    const value = string(key);
    if (value?.includes("\0")) throw invalid("has a name with a NUL");
    return value;
  };
  const integer = (key: string) => {
    const value = string(key);
    return value === undefined ? undefined : decimal(value, key);
  };
  const path = name("path");
  if (path !== undefined) attributes.name = path;
  const linkName = name("linkpath");
  if (linkName !== undefined) attributes.linkName = linkName;
  for (const key of ["size", "uid", "gid"] as const) {
    const value = integer(key);
    if (value !== undefined) attributes[key] = value;
  }
  const mtime = string("mtime");
  if (mtime !== undefined) attributes.mtime = timeOf(mtime);

  const sparseName = name("GNU.sparse.name");
  if (string("GNU.sparse.major") === "1") {
    attributes.sparse = { runs: undefined, size: integer("GNU.sparse.realsize"), name: sparseName };
  } else if (last.has("GNU.sparse.map")) {
    const runs = pairs((string("GNU.sparse.map") ?? "").split(",").filter(Boolean));
    attributes.sparse = { runs, size: integer("GNU.sparse.size"), name: sparseName };
  } else if (last.has("GNU.sparse.size")) {
    // One after another: the records of these keys belong together in pairs.
    const words = records
      .filter(({ key }) => key === "GNU.sparse.offset" || key === "GNU.sparse.numbytes")
      .map(({ value }) => value.toString("latin1"));
    attributes.sparse = { runs: pairs(words), size: integer("GNU.sparse.size"), name: sparseName };
  }
  return attributes;
}

/** Offsets and lengths, in turn. */
export function pairs(words: readonly string[]): SparseRun[] {
  if (words.length % 2 !== 0) throw invalid("has a sparse file with half a run");
  const runs: SparseRun[] = [];
  for (let index = 0; index < words.length; index += 2) {
    runs.push({
      offset: decimal(words[index] as string, "sparse run"),
      length: decimal(words[index + 1] as string, "sparse run"),
    });
  }
  return runs;
}

/** @throws UruncError `layer-invalid` if it is no whole number of a safe size */
export function decimal(digits: string, what: string): number {
  const value = Number(digits);
  if (!/^[0-9]+$/.test(digits) || digits.length > MAX_NUMBER || !Number.isSafeInteger(value)) {
    throw invalid(`has a ${what} that is no number`);
  }
  return value;
}

/** Decimal seconds with a fraction, of which nanoseconds are kept, rounded down. */
function timeOf(text: string): Time {
  const match = /^(-?)([0-9]{1,15})(?:\.([0-9]*))?$/.exec(text);
  if (match === null || text.length > 64) throw invalid("has an mtime that is no time");
  const [, sign, whole, fraction = ""] = match;
  const seconds = Number(whole);
  const nanoseconds = Number(fraction.slice(0, 9).padEnd(9, "0"));
  if (sign === "") return { seconds, nanoseconds };
  if (nanoseconds === 0) return { seconds: seconds === 0 ? 0 : -seconds, nanoseconds: 0 };
  return { seconds: -seconds - 1, nanoseconds: 1_000_000_000 - nanoseconds };
}
