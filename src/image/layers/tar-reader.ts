import { decimal, decodePax, type PaxAttributes, type PaxRecord, pairs, paxAttributes } from "./pax.ts";
import type { PushedInput, Reading } from "./push-reader.ts";
import {
  decodeHeader,
  decodeSparseExtension,
  invalid,
  type SparseRun,
  TAR_BLOCK,
  type TarHeader,
} from "./tar-header.ts";
import type { ByteString, Metadata } from "./tree.ts";

/** How much an archive may have. */
export interface TarLimits {
  /** Files, links and directories of one archive. */
  entries: number;
  /** Bytes of all files of one archive, holes included. */
  bytes: number;
}

export const DEFAULT_TAR_LIMITS: TarLimits = { entries: 4_000_000, bytes: 2 ** 40 };

/** One file of an archive, all headers that belong to it taken together. */
export type TarEntry = Metadata & {
  /** As the archive has it: it may be absolute, or lead elsewhere. */
  name: ByteString;
} & (
    | { kind: "directory" | "fifo" }
    | { kind: "link" | "hardlink"; target: ByteString }
    | { kind: "character" | "block"; major: number; minor: number }
    | {
        kind: "file";
        /** With holes. */
        size: number;
        /** Which parts of the file its data has, in this order; the rest are holes. */
        runs: readonly SparseRun[];
        /** Where its data begins in the archive, in bytes. */
        offset: number;
      }
  );

/** Who is told what an archive has, in its order. */
export interface TarVisitor {
  entry(entry: TarEntry): void;
  /**
   * The data of the last entry's runs, in parts; left out: it is passed over.
   *
   * @param part valid until this returns
   */
  data?(part: Buffer): void;
}

/** Linux's longest path, with its final NUL. */
const MAX_NAME = 4096;
/** What an extended header may have, as in Go's and so in every engine. */
const MAX_EXTENDED = 1 << 20;
/** Global headers add up. */
const MAX_GLOBAL_RECORDS = 10_000;
const MAX_SPARSE_RUNS = 1_000_000;
/** 32 bits, of which the last number means "none". */
const MAX_ID = 0xffff_fffe;

const KINDS: Readonly<Record<string, TarEntry["kind"]>> = {
  "0": "file",
  "7": "file",
  S: "file",
  "1": "hardlink",
  "2": "link",
  "3": "character",
  "4": "block",
  "5": "directory",
  "6": "fifo",
};

/**
 * Reads a tar archive: ustar, POSIX (pax), GNU and the first format. It keeps what a file system can: names of any
 * bytes, extended attributes of any bytes, nanoseconds, sparse files, devices, hard links.
 *
 * The archive ends with its first block of zeros, or with the stream in place of a header. What comes after is not
 * read.
 *
 * @param input the archive, not compressed
 * @throws UruncError `layer-invalid` for what is malformed, cut off or above a limit; what the visitor throws
 */
export function* readTar(
  input: PushedInput,
  visitor: TarVisitor,
  limits: TarLimits = DEFAULT_TAR_LIMITS,
): Reading<void> {
  let global: PaxRecord[] = [];
  let local: PaxRecord[] = [];
  let longName: ByteString | undefined;
  let longLinkName: ByteString | undefined;
  let entries = 0;
  let bytes = 0;
  for (;;) {
    const block = yield* input.take(TAR_BLOCK);
    if (block.length === 0) {
      if (local.length > 0 || longName !== undefined || longLinkName !== undefined) throw cutOff();
      return;
    }
    if (block.length < TAR_BLOCK) throw cutOff();
    const header = decodeHeader(block);
    if (header === undefined) return;
    switch (header.type) {
      case "x":
        local = decodePax(yield* extended(input, header.size));
        continue;
      case "g":
        global = merged(global, decodePax(yield* extended(input, header.size)));
        continue;
      case "L":
        longName = untilNul(yield* extended(input, header.size));
        continue;
      case "K":
        longLinkName = untilNul(yield* extended(input, header.size));
        continue;
    }
    const pax = paxAttributes([...global, ...local]);
    if (longName !== undefined) pax.name ??= longName;
    if (longLinkName !== undefined) pax.linkName ??= longLinkName;
    local = [];
    longName = undefined;
    longLinkName = undefined;

    const { entry, stored } = yield* entryOf(input, header, pax);
    if (++entries > limits.entries) throw invalid(`has more than ${limits.entries} files`);
    if (entry.kind === "file") bytes += entry.size;
    if (bytes > limits.bytes) throw invalid(`has files of more than ${limits.bytes} bytes together`);
    visitor.entry(entry);
    let { padding: rest } = stored;
    if (visitor.data === undefined) rest += stored.data;
    else if (!(yield* input.each(stored.data, (part) => visitor.data?.(part)))) throw cutOff();
    if (!(yield* input.passOver(rest))) throw cutOff();
  }
}

/** An entry, and the bytes of the archive that are left of it. */
function* entryOf(
  input: PushedInput,
  header: TarHeader,
  pax: PaxAttributes,
): Reading<{ entry: TarEntry; stored: Stored }> {
  const name = pax.sparse?.name ?? pax.name ?? header.name;
  if (name.length >= MAX_NAME) throw invalid(`has a name of more than ${MAX_NAME - 1} bytes`);
  // A name with a slash at its end is how the first format has directories.
  const kind = header.type === "0" && name.endsWith("/") ? "directory" : KINDS[header.type];
  if (kind === undefined) throw invalid(`has an entry of the unknown type ${JSON.stringify(header.type)}`);
  const metadata = {
    name,
    mode: header.mode & 0o7777,
    uid: pax.uid ?? header.uid,
    gid: pax.gid ?? header.gid,
    mtime: pax.mtime ?? { seconds: header.mtime, nanoseconds: 0 },
    xattrs: pax.xattrs,
  };
  for (const id of [metadata.uid, metadata.gid]) {
    if (id < 0 || id > MAX_ID) throw invalid(`has an owner ${id} that no system has`);
  }
  switch (kind) {
    case "directory":
    case "fifo":
      return { entry: { ...metadata, kind }, stored: NOTHING };
    case "character":
    case "block":
      return { entry: { ...metadata, kind, ...deviceOf(header) }, stored: NOTHING };
    case "link":
    case "hardlink": {
      const target = pax.linkName ?? header.linkName;
      if (target === "" || target.length >= MAX_NAME) {
        throw invalid(`has a link whose target is empty or longer than ${MAX_NAME - 1} bytes`);
      }
      return { entry: { ...metadata, kind, target }, stored: NOTHING };
    }
    case "file": {
      const stored = { data: pax.size ?? header.size, padding: 0 };
      if (stored.data < 0) throw invalid("has a file of a negative size");
      stored.padding = paddingOf(stored.data);
      const { size, runs } = yield* contentOf(input, header, pax, stored);
      return { entry: { ...metadata, kind, size, runs, offset: input.position }, stored };
    }
  }
}

/** Bytes of the archive that belong to an entry. */
interface Stored {
  data: number;
  padding: number;
}

const NOTHING: Stored = { data: 0, padding: 0 };

function deviceOf({ major, minor }: TarHeader): { major: number; minor: number } {
  // What Linux has: 12 and 20 bits.
  if (major < 0 || major > 0xfff || minor < 0 || minor > 0xfffff) {
    throw invalid(`has a device ${major}:${minor} that Linux cannot have`);
  }
  return { major, minor };
}

/** The size and the runs of a file; those that stand in front of its data are taken from it. */
function* contentOf(
  input: PushedInput,
  header: TarHeader,
  pax: PaxAttributes,
  stored: Stored,
): Reading<{ size: number; runs: SparseRun[] }> {
  let runs: SparseRun[];
  let size: number | undefined;
  if (header.sparse !== undefined) {
    ({ runs, size } = header.sparse);
    for (let more = header.sparse.more; more; ) {
      const block = yield* input.take(TAR_BLOCK);
      if (block.length < TAR_BLOCK) throw cutOff();
      const extension = decodeSparseExtension(block);
      runs.push(...extension.runs);
      more = extension.more;
      if (runs.length > MAX_SPARSE_RUNS) throw tooManyRuns();
    }
  } else if (pax.sparse !== undefined) {
    runs = pax.sparse.runs ?? (yield* runsBeforeData(input, stored));
    size = pax.sparse.size;
  } else {
    return { size: stored.data, runs: stored.data === 0 ? [] : [{ offset: 0, length: stored.data }] };
  }
  if (size === undefined || size < 0) throw invalid("has a sparse file without a size");
  let end = 0;
  let sum = 0;
  for (const { offset, length } of runs) {
    if (offset < end || length < 0 || !Number.isSafeInteger(offset + length)) {
      throw invalid("has a sparse file whose parts overlap");
    }
    end = offset + length;
    sum += length;
  }
  if (end > size || sum !== stored.data) throw invalid("has a sparse file whose parts do not fit its size");
  return { size, runs: runs.filter(({ length }) => length > 0) };
}

/** GNU's sparse format 1.0: decimal numbers in lines, how many runs first, up to a whole block. */
function* runsBeforeData(input: PushedInput, stored: Stored): Reading<SparseRun[]> {
  let text = "";
  const lines: string[] = [];
  for (;;) {
    if (stored.data < TAR_BLOCK) throw invalid("has a sparse file whose parts do not fit its size");
    const block = yield* input.take(TAR_BLOCK);
    if (block.length < TAR_BLOCK) throw cutOff();
    stored.data -= TAR_BLOCK;
    const parts = (text + block.toString("latin1")).split("\n");
    text = parts.pop() as string;
    lines.push(...parts);
    if (lines.length === 0) throw invalid("has a sparse file without its parts");
    const count = decimal(lines[0] as string, "sparse run");
    if (count > MAX_SPARSE_RUNS) throw tooManyRuns();
    if (lines.length > 2 * count) return pairs(lines.slice(1, 1 + 2 * count));
  }
}

/** The data of a header that says something about the next entry. */
function* extended(input: PushedInput, size: number): Reading<Buffer> {
  if (size < 0 || size > MAX_EXTENDED) throw invalid(`has an extended header of ${size} bytes`);
  const padded = size + paddingOf(size);
  const data = yield* input.take(padded);
  if (data.length < padded) throw cutOff();
  // It is kept while the stream goes on.
  return Buffer.from(data.subarray(0, size));
}

/** Records of global headers: the last of each key. */
function merged(before: readonly PaxRecord[], after: readonly PaxRecord[]): PaxRecord[] {
  const records = [...new Map([...before, ...after].map((record) => [record.key, record])).values()];
  if (records.length > MAX_GLOBAL_RECORDS) throw invalid("has global headers without end");
  return records;
}

function untilNul(data: Buffer): ByteString {
  const end = data.indexOf(0);
  return data.toString("latin1", 0, end < 0 ? data.length : end);
}

function paddingOf(size: number): number {
  return (TAR_BLOCK - (size % TAR_BLOCK)) % TAR_BLOCK;
}

function cutOff() {
  return invalid("is cut off: its tar archive ends inside an entry");
}

function tooManyRuns() {
  return invalid(`has a sparse file of more than ${MAX_SPARSE_RUNS} parts`);
}
