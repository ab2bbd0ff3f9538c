import {
  type BigIntStats,
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readdirSync,
  readlinkSync,
  readSync,
} from "node:fs";
import { resolve } from "node:path";
import { UruncError } from "../../errors.ts";
import { readAttributes } from "./attributes.ts";
import type { Content, ContentStore } from "./content.ts";
import {
  type ByteString,
  type Directory,
  type Inode,
  type Metadata,
  type RegularFile,
  shown,
} from "./tree.ts";

const BUFFER = 1 << 20;
const SLASH = Buffer.from("/");

export interface DirectoryOptions {
  signal?: AbortSignal;
  /**
   * Whether a file is wanted, by its path below the directory (default: all are). `within`: a directory that is there if
   * something in it is.
   */
  wants?(path: ByteString, isDirectory: boolean): "yes" | "no" | "within";
  /** Takes over to keep what a file has, whose content is nothing but a hole until then. */
  later?(file: RegularFile, keep: () => Content): void;
  /** Whether extended attributes are read (default: yes). */
  attributes?: boolean;
}

/**
 * Reads a directory of this system as a tree: with owners, devices, hard links, times and extended attributes as far as
 * whoever asks may see them. Sockets are left out, as in layers: without their program they are nothing.
 *
 * @param store where files' bytes go; it must be open as long as the tree is used
 * @throws UruncError `file-system` for what cannot be read, or changes while it is; the signal's reason
 */
export function treeOfDirectory(
  path: string,
  store: ContentStore,
  options: DirectoryOptions = {},
): Directory {
  const reader = new DirectoryReader(store, options);
  return reader.read(Buffer.from(resolve(path)));
}

class DirectoryReader {
  readonly #store: ContentStore;
  readonly #options: DirectoryOptions;
  readonly #inodes = new Map<string, Inode>();

  constructor(store: ContentStore, options: DirectoryOptions) {
    this.#store = store;
    this.#options = options;
  }

  read(top: Buffer): Directory {
    const { signal, wants = () => "yes" as const } = this.#options;
    const root = attempt(top, () => {
      const status = lstatSync(top, { bigint: true });
      if (!status.isDirectory()) throw new Error("it is no directory");
      return this.#directory(top, status);
    });
    // Not by recursion: directories may nest deeper than a stack is.
    const rest: { path: Buffer; directory: Directory }[] = [{ path: top, directory: root }];
    const conditional: { parent: Directory; name: ByteString; directory: Directory }[] = [];
    for (let next = rest.pop(); next !== undefined; next = rest.pop()) {
      signal?.throwIfAborted();
      const { path: parent, directory } = next;
      for (const name of attempt(parent, () => namesIn(parent))) {
        const file = Buffer.concat([parent, SLASH, Buffer.from(name, "latin1")]);
        const status = attempt(file, () => lstatSync(file, { bigint: true }));
        const wanted = wants(file.toString("latin1", top.length + 1), status.isDirectory());
        if (wanted === "no") continue;
        const inode = attempt(file, () => this.#inode(file, status));
        if (inode === undefined) continue;
        directory.children.set(name, inode);
        if (inode.kind !== "directory") continue;
        rest.push({ path: file, directory: inode });
        if (wanted === "within") conditional.push({ parent: directory, name, directory: inode });
      }
    }
    // Those inside of others came later.
    for (const { parent, name, directory } of conditional.reverse()) {
      if (directory.children.size === 0) parent.children.delete(name);
    }
    return root;
  }

  #inode(path: Buffer, status: BigIntStats): Inode | undefined {
    if (status.isDirectory()) return this.#directory(path, status);
    const key = `${status.dev}:${status.ino}`;
    const known = this.#inodes.get(key);
    if (known !== undefined) return known;
    const inode = this.#other(path, status);
    if (inode !== undefined && status.nlink > 1n) this.#inodes.set(key, inode);
    return inode;
  }

  #other(path: Buffer, status: BigIntStats): Inode | undefined {
    const metadata = this.#metadata(path, status);
    if (status.isSymbolicLink()) {
      const target = readlinkSync(path, { encoding: "buffer" }).toString("latin1");
      return { ...metadata, kind: "link", target };
    }
    if (status.isFile()) return this.#file(path, status, metadata);
    if (status.isFIFO()) return { ...metadata, kind: "fifo" };
    if (status.isSocket()) return undefined;
    const { rdev } = status;
    return {
      ...metadata,
      kind: status.isBlockDevice() ? "block" : "character",
      // makedev(3) of glibc.
      major: Number(((rdev >> 8n) & 0xfffn) | ((rdev >> 32n) & 0xfffff000n)),
      minor: Number((rdev & 0xffn) | ((rdev >> 12n) & 0xffffff00n)),
    };
  }

  #file(path: Buffer, status: BigIntStats, metadata: Metadata): RegularFile {
    const keep = () => attempt(path, () => contentOf(path, status, this.#store));
    const { later } = this.#options;
    if (later === undefined) return { ...metadata, kind: "file", content: keep() };
    const content = { size: Number(status.size), runs: [] };
    const file: RegularFile = { ...metadata, kind: "file", content };
    later(file, keep);
    return file;
  }

  #directory(path: Buffer, status: BigIntStats): Directory {
    return { ...this.#metadata(path, status), kind: "directory", children: new Map() };
  }

  #metadata(path: Buffer, status: BigIntStats): Metadata {
    const second = 1_000_000_000n;
    const nanoseconds = ((status.mtimeNs % second) + second) % second;
    return {
      mode: Number(status.mode & 0o7777n),
      uid: Number(status.uid),
      gid: Number(status.gid),
      mtime: {
        seconds: Number((status.mtimeNs - nanoseconds) / second),
        nanoseconds: Number(nanoseconds),
      },
      xattrs: this.#options.attributes === false ? new Map() : readAttributes(path),
    };
  }
}

function namesIn(path: Buffer): ByteString[] {
  return readdirSync(path, { encoding: "buffer" }).map((name) => name.toString("latin1"));
}

function contentOf(path: Buffer, status: BigIntStats, store: ContentStore): Content {
  const size = Number(status.size);
  if (size === 0) return { size, runs: [] };
  // Never waits, should it have become a FIFO meanwhile.
  const file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const { position } = store;
    const buffer = Buffer.allocUnsafe(Math.min(size, BUFFER));
    for (let done = 0; done < size; ) {
      const count = readSync(file, buffer, 0, Math.min(buffer.length, size - done), done);
      if (count === 0) throw new Error("it changed while it was read");
      store.append(buffer.subarray(0, count));
      done += count;
    }
    const after = fstatSync(file, { bigint: true });
    if (after.ino !== status.ino || after.size !== status.size || after.mtimeNs !== status.mtimeNs) {
      throw new Error("it changed while it was read");
    }
    return { size, runs: [{ at: 0, position, length: size }] };
  } finally {
    closeSync(file);
  }
}

function attempt<T>(path: Buffer, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof UruncError) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new UruncError("file-system", `cannot read ${shown(path.toString("latin1"))}: ${reason}`, {
      cause: error,
    });
  }
}
