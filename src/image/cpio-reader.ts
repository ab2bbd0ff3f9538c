import { UruncError } from "../errors.ts";
import { kindOf } from "./filesystem/mode.ts";
import type { ContentStore } from "./layers/content.ts";
import { insideRoot, makeDirectory } from "./layers/lookup.ts";
import { type PushedInput, PushReader, type Reading } from "./layers/push-reader.ts";
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
const TRAILER = "TRAILER!!!";

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
  const reader = new PushReader((pushed) => readCpio(pushed, store));
  for await (const part of input) reader.push(part);
  return reader.end();
}

function* readCpio(input: PushedInput, store: ContentStore): Reading<Directory> {
  const root = plainDirectory();
  let files = new Map<string, RegularFile>();
  for (let entries = 0; ; entries++) {
    if (entries > MAX_ENTRIES) throw invalid(`it has more than ${MAX_ENTRIES} files`);
    if (!(yield* input.passOverZeros())) {
      if (entries === 0) throw invalid("it is empty");
      return root;
    }
    const fields = decodeHeader(yield* take(input, HEADER));
    if (fields.nameSize < 1 || fields.nameSize > MAX_NAME)
      throw invalid("a name is empty or longer than Linux has");
    const name = (yield* take(input, fields.nameSize)).toString("latin1", 0, fields.nameSize - 1);
    yield* align(input);
    if (name === TRAILER) {
      files = new Map();
      continue;
    }
    yield* addEntry(root, name, fields, input, store, files);
    yield* align(input);
  }
}

/** So many bytes, valid until more is asked for. */
function* take(input: PushedInput, count: number): Reading<Buffer> {
  const taken = yield* input.take(count);
  if (taken.length < count) throw invalid("it is cut off");
  return taken;
}

/** Passes over what fills a part of the archive up. */
function* align(input: PushedInput): Reading<void> {
  yield* take(input, -input.position & 3);
}

function* addEntry(
  root: Directory,
  name: ByteString,
  fields: Fields,
  input: PushedInput,
  store: ContentStore,
  files: Map<string, RegularFile>,
): Reading<void> {
  const kind = kindOf(fields.mode);
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
    inode = { ...metadata, kind, target: (yield* take(input, size)).toString("latin1") };
  } else if (kind === "file") {
    inode = yield* fileOf(metadata, fields, input, store, files);
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
function* fileOf(
  metadata: Omit<RegularFile, "kind" | "content">,
  fields: Fields,
  input: PushedInput,
  store: ContentStore,
  files: Map<string, RegularFile>,
): Reading<RegularFile> {
  const key = fields.links > 1 ? fields.identity : undefined;
  let file = key === undefined ? undefined : files.get(key);
  if (file === undefined) {
    file = { ...metadata, kind: "file", content: { size: 0, runs: [] } };
    if (key !== undefined) files.set(key, file);
  }
  const { size } = fields;
  if (size === 0) return file;
  const { position } = store;
  if (!(yield* input.each(size, (part) => store.append(part)))) throw invalid("it is cut off");
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

function invalid(what: string): UruncError {
  return new UruncError("layer-invalid", `the initrd cannot be read: ${what}`);
}
