import { UruncError } from "../../errors.ts";
import type { Content, ContentStore, Run } from "./content.ts";
import { TAR_BLOCK } from "./tar-header.ts";
import {
  type ByteString,
  type Device,
  type Directory,
  type Inode,
  type Metadata,
  placesOf,
  shown,
  type Time,
} from "./tree.ts";

const TYPES: Readonly<Record<Inode["kind"], string>> = {
  file: "0",
  link: "2",
  character: "3",
  block: "4",
  directory: "5",
  fifo: "6",
};
export const HARD_LINK = "1";
const EXTENDED = "x";
/** What an archive ends with. */
export const TAR_END: Uint8Array = Buffer.alloc(2 * TAR_BLOCK);
/** What a field of a header has room for; the rest is in an extended header. */
const MAX_NAME = 100;
const MAX_ID = 0o7777777;
const MAX_SIZE = 0o77777777777;
/** As much as readers take, ours too. */
const MAX_EXTENDED = 1 << 20;

/**
 * A tree as a POSIX tar archive: extended headers for what is longer or finer than the first ones, `SCHILY.xattr` for
 * extended attributes, GNU's sparse format 1.0 for files with holes. Equal trees give equal bytes. The root is `./`.
 *
 * @returns the archive in parts, each valid until the next is asked for
 * @throws UruncError `file-system` for extended attributes that no archive has
 */
export function* tarOfTree(tree: Directory, store: ContentStore): Generator<Uint8Array> {
  const firstPaths = new Map<Inode, ByteString>();
  for (const { path, inode } of placesOf(tree)) {
    const name = inode.kind === "directory" ? `./${path}${path === "" ? "" : "/"}` : `./${path}`;
    const first = firstPaths.get(inode);
    if (first !== undefined) {
      yield* tarEntry(inode, name, { type: HARD_LINK, target: first, xattrs: false });
      continue;
    }
    firstPaths.set(inode, name);
    if (inode.kind === "link") {
      yield* tarEntry(inode, name, { target: inode.target });
    } else if (inode.kind === "file") {
      yield* tarFile(inode, inode.content, name, store);
    } else {
      yield* tarEntry(inode, name, {});
    }
  }
  yield TAR_END;
}

/**
 * A regular file as an entry: its headers, its content with holes left out, the padding.
 *
 * @param name as the archive has it
 */
export function* tarFile(
  inode: Metadata & { kind: "file" },
  content: Content,
  name: ByteString,
  store: ContentStore,
): Generator<Uint8Array> {
  const { size } = content;
  const parts = partsOf(content);
  const stored = parts.reduce((sum, { from, to }) => sum + to - from, 0);
  if (stored === size) {
    yield* tarEntry(inode, name, { size });
    yield* store.readAll(content);
  } else {
    // The end of the file is a part too, if nothing else ends there.
    const map = [...parts.map(({ from, to }) => [from, to - from]), [size, 0]];
    const lines = Buffer.from(`${map.length}\n${map.flat().join("\n")}\n`);
    const sparse = { "GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": String(size) };
    const start = Buffer.concat([lines, tarPadding(lines.length)]);
    yield* tarEntry(inode, name, {
      size: start.length + stored,
      records: { ...sparse, "GNU.sparse.name": name },
    });
    yield start;
    for (const { runs, from, to } of parts) yield* store.readRuns(runs, from, to);
  }
  yield tarPadding(stored);
}

/** A part of a file that has no holes to speak of, and the runs in it. */
interface Part {
  from: number;
  to: number;
  runs: Run[];
}

/** A file's runs in whole blocks but for its end: GNU tar takes no others. */
function partsOf({ runs, size }: Content): Part[] {
  const parts: Part[] = [];
  for (const run of runs) {
    const from = Math.floor(run.at / TAR_BLOCK) * TAR_BLOCK;
    const to = Math.min(Math.ceil((run.at + run.length) / TAR_BLOCK) * TAR_BLOCK, size);
    const last = parts.at(-1);
    if (last !== undefined && from <= last.to) {
      last.to = to;
      last.runs.push(run);
    } else {
      parts.push({ from, to, runs: [run] });
    }
  }
  return parts;
}

/** What an entry's headers are made of: a file's content is not among it. */
export type EntryInode = Metadata &
  ({ kind: Exclude<Inode["kind"], Device["kind"]> } | Pick<Device, "kind" | "major" | "minor">);

export interface TarEntryOptions {
  /** A hard link's is {@link HARD_LINK} (default: by the kind). */
  type?: string;
  target?: ByteString;
  /** Bytes that follow. */
  size?: number;
  records?: Record<string, ByteString>;
  xattrs?: boolean;
}

/**
 * The headers of one entry; for a size of bytes these and {@link tarPadding} follow.
 *
 * @param name as the archive has it: a directory's ends with a slash
 * @throws UruncError `file-system` for extended attributes that no archive has
 */
export function* tarEntry(
  inode: EntryInode,
  name: ByteString,
  options: TarEntryOptions,
): Generator<Uint8Array> {
  const { type = TYPES[inode.kind], target = "", size = 0, records = {}, xattrs = true } = options;
  const extended: Buffer[] = Object.entries(records).map(([key, value]) => record(key, value));
  if (name.length > MAX_NAME) extended.push(record("path", name));
  if (target.length > MAX_NAME) extended.push(record("linkpath", target));
  if (size > MAX_SIZE) extended.push(record("size", String(size)));
  if (inode.uid > MAX_ID) extended.push(record("uid", String(inode.uid)));
  if (inode.gid > MAX_ID) extended.push(record("gid", String(inode.gid)));
  const { seconds, nanoseconds } = inode.mtime;
  if (nanoseconds !== 0 || seconds < 0 || seconds > MAX_SIZE)
    extended.push(record("mtime", decimal(inode.mtime)));
  for (const key of xattrs ? [...inode.xattrs.keys()].sort() : []) {
    if (key.includes("=")) {
      throw new UruncError(
        "file-system",
        `a tar archive cannot hold the attribute ${shown(key)} of ${shown(name)}`,
      );
    }
    extended.push(record(`SCHILY.xattr.${key}`, inode.xattrs.get(key) as Uint8Array));
  }
  const data = Buffer.concat(extended);
  if (data.length > MAX_EXTENDED) {
    throw new UruncError("file-system", `a tar archive cannot hold so many attributes of ${shown(name)}`);
  }
  if (data.length > 0) {
    yield header({ name: "././@PaxHeader", type: EXTENDED, mode: 0o644, size: data.length });
    yield data;
    yield tarPadding(data.length);
  }
  const isDevice = inode.kind === "character" || inode.kind === "block";
  yield header({
    name,
    type,
    mode: inode.mode,
    size,
    target,
    uid: inode.uid,
    gid: inode.gid,
    mtime: seconds,
    ...(isDevice && type !== HARD_LINK ? { major: inode.major, minor: inode.minor } : {}),
  });
}

interface Header {
  name: ByteString;
  type: string;
  mode: number;
  size: number;
  target?: ByteString;
  uid?: number;
  gid?: number;
  mtime?: number;
  major?: number;
  minor?: number;
}

/** A block; a value that has no room in it is 0 or cut off, and in the extended header. */
function header(fields: Header): Buffer {
  const block = Buffer.alloc(TAR_BLOCK);
  const number = (value: number, offset: number, digits: number) => {
    const fits = value >= 0 && value < 8 ** digits;
    block.write((fits ? value : 0).toString(8).padStart(digits, "0"), offset, "latin1");
  };
  block.write(fields.name.slice(0, MAX_NAME), 0, "latin1");
  number(fields.mode, 100, 7);
  number(fields.uid ?? 0, 108, 7);
  number(fields.gid ?? 0, 116, 7);
  number(fields.size, 124, 11);
  number(fields.mtime ?? 0, 136, 11);
  block.write("        ", 148, "latin1");
  block.write(fields.type, 156, "latin1");
  block.write((fields.target ?? "").slice(0, MAX_NAME), 157, "latin1");
  block.write("ustar\x0000", 257, "latin1");
  number(fields.major ?? 0, 329, 7);
  number(fields.minor ?? 0, 337, 7);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  return block;
}

/** `LENGTH KEY=VALUE\n`, where the length counts its own digits. */
function record(key: string, value: ByteString | Uint8Array): Buffer {
  const bytes = typeof value === "string" ? Buffer.from(value, "latin1") : Buffer.from(value);
  const rest = Buffer.concat([Buffer.from(` ${key}=`, "latin1"), bytes, Buffer.from("\n")]);
  let length = rest.length;
  while (length !== rest.length + String(length).length) length = rest.length + String(length).length;
  return Buffer.concat([Buffer.from(String(length)), rest]);
}

/** Seconds with a fraction that is to be added to them, whatever the sign: so -0.5 is of the second before. */
function decimal({ seconds, nanoseconds }: Time): string {
  if (nanoseconds === 0) return String(seconds);
  const isNegative = seconds < 0;
  const whole = isNegative ? -seconds - 1 : seconds;
  const fraction = isNegative ? 1_000_000_000 - nanoseconds : nanoseconds;
  return `${isNegative ? "-" : ""}${whole}.${String(fraction).padStart(9, "0")}`;
}

/** What fills an entry's data up to whole blocks. */
export function tarPadding(length: number): Buffer {
  return Buffer.alloc((TAR_BLOCK - (length % TAR_BLOCK)) % TAR_BLOCK);
}
