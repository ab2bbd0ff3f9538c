import { UruncError } from "../errors.ts";
import type { ContentStore } from "./layers/content.ts";
import { insideRoot, makeDirectory } from "./layers/lookup.ts";
import {
  type ByteString,
  type Directory,
  type Inode,
  plainDirectory,
  type RegularFile,
} from "./layers/tree.ts";

/** A header: the magic and 13 fields of eight hexadecimal digits. */
const HEADER = 110;
/** Linux's longest path, with its final NUL. */
const MAX_NAME = 4096;
const MAX_ENTRIES = 4_000_000;
const PART = 1 << 20;
const TRAILER = "TRAILER!!!";

const KINDS: Readonly<Record<number, Inode["kind"] | "socket">> = {
  1: "fifo",
  2: "character",
  4: "directory",
  6: "block",
  8: "file",
  10: "link",
  12: "socket",
};

/**
 * Reads cpio archives of the format `newc` (Documentation/driver-api/early-userspace/buffer-format.rst), several one
 * after another as Linux unpacks them: later files replace earlier ones. Sockets are left out. Parents that are missing
 * are made.
 *
 * @param input not compressed
 * @param store where files' bytes go; it must be open as long as the tree is used
 * @throws UruncError `layer-invalid` for what is malformed or leads out of the root
 */
export async function treeOfCpio(input: AsyncIterable<Uint8Array>, store: ContentStore): Promise<Directory> {
  const root = plainDirectory();
  const bytes = new Bytes(input);
  let files = new Map<string, RegularFile>();
  for (let entries = 0; ; entries++) {
    if (entries > MAX_ENTRIES) throw invalid(`it has more than ${MAX_ENTRIES} files`);
    if (await bytes.skipZeros()) {
      if (entries === 0) throw invalid("it is empty");
      return root;
    }
    const fields = decodeHeader(await bytes.take(HEADER));
    if (fields.nameSize < 1 || fields.nameSize > MAX_NAME)
      throw invalid("a name is empty or longer than Linux has");
    const name = (await bytes.take(fields.nameSize)).toString("latin1", 0, fields.nameSize - 1);
    await bytes.align();
    if (name === TRAILER) {
      files = new Map();
      continue;
    }
    await addEntry(root, name, fields, bytes, store, files);
    await bytes.align();
  }
}

async function addEntry(
  root: Directory,
  name: ByteString,
  fields: Fields,
  bytes: Bytes,
  store: ContentStore,
  files: Map<string, RegularFile>,
): Promise<void> {
  const kind = KINDS[fields.mode >>> 12];
  if (kind === undefined) throw invalid(`a file has the mode ${fields.mode.toString(8)}`);
  if (name.includes("\0")) throw invalid("a name has a NUL");
  const { mode, uid, gid, mtime, size } = fields;
  const metadata = {
    mode: mode & 0o7777,
    uid,
    gid,
    mtime: { seconds: mtime, nanoseconds: 0 },
    xattrs: new Map(),
  };
  const words = insideRoot(name);
  const last = words.pop();
  if (kind === "directory" || kind === "socket" || last === undefined) {
    if (size > 0) throw invalid("a directory has content");
    if (kind === "socket") return;
    if (kind !== "directory") throw invalid("its root is no directory");
    const directory = last === undefined ? root : makeDirectory(root, [...words, last], name).directory;
    Object.assign(directory, metadata);
    return;
  }
  const { directory } = makeDirectory(root, words, name);
  let inode: Inode;
  if (kind === "link") {
    if (size < 1 || size >= MAX_NAME) throw invalid("a link's target is empty or longer than Linux has");
    inode = { ...metadata, kind, target: (await bytes.take(size)).toString("latin1") };
  } else if (kind === "file") {
    inode = await fileOf(metadata, fields, bytes, store, files);
  } else {
    if (size > 0) throw invalid("a device or FIFO has content");
    inode =
      kind === "fifo"
        ? { ...metadata, kind }
        : { ...metadata, kind, major: fields.major, minor: fields.minor };
  }
  directory.children.set(last, inode);
}

/** Of several names of a file only one has the data, whichever that is. */
async function fileOf(
  metadata: Omit<RegularFile, "kind" | "content">,
  fields: Fields,
  bytes: Bytes,
  store: ContentStore,
  files: Map<string, RegularFile>,
): Promise<RegularFile> {
  const key = fields.links > 1 ? fields.identity : undefined;
  let file = key === undefined ? undefined : files.get(key);
  if (file === undefined) {
    file = { ...metadata, kind: "file", content: { size: 0, runs: [] } };
    if (key !== undefined) files.set(key, file);
  }
  const { size } = fields;
  if (size === 0) return file;
  const { position } = store;
  for (let left = size; left > 0; ) {
    const part = await bytes.take(Math.min(left, PART));
    store.append(part);
    left -= part.length;
  }
  file.content = { size, runs: [{ at: 0, position, length: size }] };
  return file;
}

interface Fields {
  /** The file's number with that of its device. */
  identity: string;
  mode: number;
  uid: number;
  gid: number;
  links: number;
  mtime: number;
  size: number;
  major: number;
  minor: number;
  nameSize: number;
}

function decodeHeader(header: Buffer): Fields {
  const magic = header.toString("latin1", 0, 6);
  if (magic !== "070701" && magic !== "070702") {
    throw invalid(`what stands at a file's place is no header of the format newc`);
  }
  const field = (index: number): number => {
    const digits = header.toString("latin1", 6 + 8 * index, 14 + 8 * index);
    if (!/^[0-9a-fA-F]{8}$/.test(digits)) throw invalid("a header's field is no number");
    return Number.parseInt(digits, 16);
  };
  return {
    identity: [0, 7, 8].map(field).join(":"),
    mode: field(1),
    uid: field(2),
    gid: field(3),
    links: field(4),
    mtime: field(5),
    size: field(6),
    major: field(9),
    minor: field(10),
    nameSize: field(11),
  };
}

/** The input by counts of bytes. */
class Bytes {
  readonly #parts: AsyncIterator<Uint8Array>;
  #part: Buffer = Buffer.alloc(0);
  #position = 0;

  constructor(input: AsyncIterable<Uint8Array>) {
    this.#parts = input[Symbol.asyncIterator]();
  }

  async #next(): Promise<boolean> {
    for (;;) {
      const { done, value } = await this.#parts.next();
      if (done) return false;
      if (value.length === 0) continue;
      this.#part = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
      return true;
    }
  }

  /** So many bytes, valid until the next call. */
  async take(count: number): Promise<Buffer> {
    const parts: Buffer[] = [];
    for (let left = count; left > 0; ) {
      if (this.#part.length === 0 && !(await this.#next())) throw invalid("it is cut off");
      const taken = this.#part.subarray(0, left);
      this.#part = this.#part.subarray(taken.length);
      left -= taken.length;
      // What was handed out may change with the next part.
      parts.push(left > 0 || parts.length > 0 ? Buffer.from(taken) : taken);
    }
    this.#position += count;
    return parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts);
  }

  /** Passes over what fills a part of the archive up. */
  async align(): Promise<void> {
    await this.take(-this.#position & 3);
  }

  /** Passes over zeros between archives; true at the input's end. */
  async skipZeros(): Promise<boolean> {
    for (;;) {
      if (this.#part.length === 0 && !(await this.#next())) return true;
      const zeros = this.#part.findIndex((byte) => byte !== 0);
      const passed = zeros < 0 ? this.#part.length : zeros;
      this.#part = this.#part.subarray(passed);
      this.#position += passed;
      if (zeros >= 0) return false;
    }
  }
}

function invalid(what: string): UruncError {
  return new UruncError("layer-invalid", `the initrd cannot be read: ${what}`);
}
