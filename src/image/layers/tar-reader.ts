import type { ByteReader } from "./byte-reader.ts";
import { decimal, decodePax, type PaxAttributes, type PaxRecord, pairs, paxAttributes } from "./pax.ts";
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
        /** Which parts of the file `data` has, in this order; the rest are holes. */
        runs: readonly SparseRun[];
        /** The data of all runs, to be read before the next entry is; what is not read is passed over. */
        data: AsyncIterable<Uint8Array>;
      }
  );

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
 * @param reader the archive, not compressed
 * @throws UruncError `layer-invalid` for what is malformed, cut off or above a limit
 */
export async function* readTar(
  reader: ByteReader,
  limits: TarLimits = DEFAULT_TAR_LIMITS,
): AsyncGenerator<TarEntry> {
  let global: PaxRecord[] = [];
  let local: PaxRecord[] = [];
  let longName: ByteString | undefined;
  let longLinkName: ByteString | undefined;
  let entries = 0;
  let bytes = 0;
  for (;;) {
    const block = await reader.take(TAR_BLOCK);
    if (block.length === 0) {
      if (local.length > 0 || longName !== undefined || longLinkName !== undefined) throw cutOff();
      return;
    }
    if (block.length < TAR_BLOCK) throw cutOff();
    const header = decodeHeader(block);
    if (header === undefined) return;
    switch (header.type) {
      case "x":
        local = decodePax(await extended(reader, header.size));
        continue;
      case "g":
        global = merged(global, decodePax(await extended(reader, header.size)));
        continue;
      case "L":
        longName = untilNul(await extended(reader, header.size));
        continue;
      case "K":
        longLinkName = untilNul(await extended(reader, header.size));
        continue;
    }
    const pax = paxAttributes([...global, ...local]);
    if (longName !== undefined) pax.name ??= longName;
    if (longLinkName !== undefined) pax.linkName ??= longLinkName;
    local = [];
    longName = undefined;
    longLinkName = undefined;

    const { entry, stored } = await entryOf(reader, header, pax);
    if (++entries > limits.entries) throw invalid(`has more than ${limits.entries} files`);
    if (entry.kind === "file") bytes += entry.size;
    if (bytes > limits.bytes) throw invalid(`has files of more than ${limits.bytes} bytes together`);
    const body = new Body(reader, stored);
    yield entry.kind === "file" ? { ...entry, data: body } : entry;
    await body.finish();
  }
}

/** An entry, and the bytes of the archive that are left of it. */
async function entryOf(
  reader: ByteReader,
  header: TarHeader,
  pax: PaxAttributes,
): Promise<{ entry: TarEntry; stored: Stored }> {
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
      const { size, runs } = await contentOf(reader, header, pax, stored);
      // The data is the caller's to set, once the limits have been checked.
      return { entry: { ...metadata, kind, size, runs, data: NO_DATA }, stored };
    }
  }
}

/** Bytes of the archive that belong to an entry. */
interface Stored {
  data: number;
  padding: number;
}

const NOTHING: Stored = { data: 0, padding: 0 };
const NO_DATA: AsyncIterable<Uint8Array> = { async *[Symbol.asyncIterator]() {} };

function deviceOf({ major, minor }: TarHeader): { major: number; minor: number } {
  // What Linux has: 12 and 20 bits.
  if (major < 0 || major > 0xfff || minor < 0 || minor > 0xfffff) {
    throw invalid(`has a device ${major}:${minor} that Linux cannot have`);
  }
  return { major, minor };
}

/** The size and the runs of a file; those that stand in front of its data are taken from it. */
async function contentOf(
  reader: ByteReader,
  header: TarHeader,
  pax: PaxAttributes,
  stored: Stored,
): Promise<{ size: number; runs: SparseRun[] }> {
  let runs: SparseRun[];
  let size: number | undefined;
  if (header.sparse !== undefined) {
    ({ runs, size } = header.sparse);
    for (let more = header.sparse.more; more; ) {
      const block = await reader.take(TAR_BLOCK);
      if (block.length < TAR_BLOCK) throw cutOff();
      const extension = decodeSparseExtension(block);
      runs.push(...extension.runs);
      more = extension.more;
      if (runs.length > MAX_SPARSE_RUNS) throw tooManyRuns();
    }
  } else if (pax.sparse !== undefined) {
    runs = pax.sparse.runs ?? (await runsBeforeData(reader, stored));
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
async function runsBeforeData(reader: ByteReader, stored: Stored): Promise<SparseRun[]> {
  let text = "";
  const lines: string[] = [];
  for (;;) {
    if (stored.data < TAR_BLOCK) throw invalid("has a sparse file whose parts do not fit its size");
    const block = await reader.take(TAR_BLOCK);
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

/** The data of an entry, as far as nobody has read it yet. */
class Body implements AsyncIterable<Uint8Array> {
  readonly #reader: ByteReader;
  readonly #stored: Stored;
  #rest: number;

  constructor(reader: ByteReader, stored: Stored) {
    this.#reader = reader;
    this.#stored = stored;
    this.#rest = stored.data;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    while (this.#rest > 0) {
      const part = await this.#reader.takeSome(this.#rest);
      if (part.length === 0) throw cutOff();
      this.#rest -= part.length;
      yield part;
    }
  }

  /** Passes over what is left of the entry. */
  async finish(): Promise<void> {
    for (let rest = this.#rest + this.#stored.padding; rest > 0; ) {
      const part = await this.#reader.takeSome(rest);
      if (part.length === 0) throw cutOff();
      rest -= part.length;
    }
  }
}

/** The data of a header that says something about the next entry. */
async function extended(reader: ByteReader, size: number): Promise<Buffer> {
  if (size < 0 || size > MAX_EXTENDED) throw invalid(`has an extended header of ${size} bytes`);
  const padded = size + paddingOf(size);
  const data = await reader.take(padded);
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
