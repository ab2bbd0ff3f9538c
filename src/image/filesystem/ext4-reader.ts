import { closeSync, openSync } from "node:fs";
import { UruncError } from "../../errors.ts";
import type { Content, ContentStore, Run } from "../layers/content.ts";
import type { ByteString, Directory, Inode, Metadata } from "../layers/tree.ts";
import { type DiskInode, Ext4Disk } from "./ext4-disk.ts";
import { BLOCKS_LENGTH, FLAG_EXTENTS, ROOT_INODE } from "./ext4-format.ts";
import { decodeAttributes } from "./ext4-xattr.ts";
import { decodeDevice, kindOf } from "./mode.ts";

/** What a file system may at most have. */
export interface Ext4Limits {
  /** Names of files. */
  entries: number;
  /** Bytes of all files, holes included. */
  bytes: number;
}

export interface Ext4ReadOptions {
  /** Below which directory, as names; a link on the way is not followed (default: all). */
  directory?: readonly ByteString[];
  limits?: Partial<Ext4Limits>;
  signal?: AbortSignal;
}

/** As for layers, which what is read becomes. */
const DEFAULT_LIMITS: Ext4Limits = { entries: 4_000_000, bytes: 2 ** 40 };
/** Linux's longest path, without its final NUL. */
const MAX_PATH = 4095;
/** Linux's longest target of a link. */
const MAX_TARGET = 4095;

/**
 * Reads an ext4 image as a tree: with owners, devices, hard links, times and extended attributes. It needs no rights. The
 * image may be written by anybody: whatever is in it, reading ends, stays inside of it and keeps no more than it has, but
 * for holes. Sockets are left out, as in layers. Checksums are not looked at.
 *
 * @param store where files' bytes go; it must be open as long as the tree is used
 * @throws UruncError `file-system` for what is no ext4, has not been left in order (its journal would have to be
 *   replayed), is damaged or above a limit; the signal's reason
 */
export function readExt4(path: string, store: ContentStore, options: Ext4ReadOptions = {}): Directory {
  let file: number;
  try {
    file = openSync(path, "r");
  } catch (cause) {
    throw new UruncError("file-system", `cannot read ${path}: ${(cause as Error).message}`, { cause });
  }
  try {
    return new Reader(new Ext4Disk(path, file), store, options).read(options.directory ?? []);
  } catch (error) {
    if (error instanceof UruncError || options.signal?.aborted) throw error;
    throw new UruncError("file-system", `cannot read ${path}: ${(error as Error).message}`, { cause: error });
  } finally {
    closeSync(file);
  }
}

class Reader {
  readonly #disk: Ext4Disk;
  readonly #store: ContentStore;
  readonly #signal: AbortSignal | undefined;
  readonly #limits: Ext4Limits;
  readonly #left: Ext4Limits;
  /** Files by their numbers: two names of one are the same object. */
  readonly #inodes = new Map<number, Inode | undefined>();
  /** Of blocks with attributes, which many files may share. */
  readonly #attributes = new Map<number, ReadonlyMap<ByteString, Uint8Array>>();

  constructor(disk: Ext4Disk, store: ContentStore, { limits, signal }: Ext4ReadOptions) {
    this.#disk = disk;
    this.#store = store;
    this.#signal = signal;
    this.#limits = { ...DEFAULT_LIMITS, ...limits };
    this.#left = { ...this.#limits };
  }

  #tooMuch(what: string): UruncError {
    return new UruncError("file-system", `the ext4 file system in ${this.#disk.path} has ${what}`);
  }

  read(words: readonly ByteString[]): Directory {
    let top = this.#disk.inode(ROOT_INODE);
    for (const word of words) {
      const number = this.#names(top).find(([name]) => name === word)?.[1];
      if (number === undefined) throw this.#disk.damaged(`it has no ${words.join("/")}`);
      top = this.#disk.inode(number);
    }
    const root = this.#inode(top);
    if (root?.kind !== "directory") throw this.#disk.damaged("its root is no directory");
    // Not by recursion: directories may nest deeper than a stack is.
    const rest = [{ disk: top, directory: root, length: 0 }];
    for (let next = rest.pop(); next !== undefined; next = rest.pop()) {
      for (const [name, number] of this.#names(next.disk)) {
        this.#signal?.throwIfAborted();
        const length = next.length + 1 + name.length;
        if (length > MAX_PATH) throw this.#disk.damaged("a path is longer than Linux has");
        if (next.directory.children.has(name)) throw this.#disk.damaged("a directory has a name twice");
        const known = this.#inodes.get(number);
        if (known?.kind === "directory") throw this.#disk.damaged("a directory has two names");
        if (known !== undefined) {
          next.directory.children.set(name, known);
          continue;
        }
        const disk = this.#disk.inode(number);
        const inode = this.#inode(disk);
        if (inode === undefined) continue;
        next.directory.children.set(name, inode);
        if (inode.kind === "directory") rest.push({ disk, directory: inode, length });
      }
    }
    return root;
  }

  /** What a directory has besides itself and its parent. */
  #names(inode: DiskInode): [ByteString, number][] {
    const names: [ByteString, number][] = [];
    const { blockSize } = this.#disk;
    if (inode.size % blockSize !== 0) throw this.#disk.damaged("a directory ends inside a block");
    for (const { block, count } of this.#disk.extents(inode)) {
      for (let index = 0; index < count; index++) {
        for (const part of this.#disk.data(block + index, blockSize)) this.#namesIn(part, names);
      }
    }
    return names;
  }

  /** The names in one block; an index of names looks like a block without any. */
  #namesIn(bytes: Buffer, names: [ByteString, number][]): void {
    for (let offset = 0; offset < bytes.length; ) {
      const number = bytes.readUInt32LE(offset);
      const record = bytes.readUInt16LE(offset + 4);
      const length = bytes.readUInt8(offset + 6);
      if (record < 8 || record % 4 !== 0 || offset + record > bytes.length || 8 + length > record) {
        throw this.#disk.damaged("a directory's records do not fit its block");
      }
      const name = bytes.toString("latin1", offset + 8, offset + 8 + length);
      offset += record;
      if (number === 0 || name === "." || name === "..") continue;
      if (name === "" || /[/\0]/.test(name)) throw this.#disk.damaged("a file has a name that cannot be");
      if (--this.#left.entries < 0) throw this.#tooMuch(`more than ${this.#limits.entries} files`);
      names.push([name, number]);
    }
  }

  /** A file without what a directory has; undefined for a socket. */
  #inode(disk: DiskInode): Inode | undefined {
    const inode = this.#made(disk);
    this.#inodes.set(disk.number, inode);
    return inode;
  }

  #made(disk: DiskInode): Inode | undefined {
    const kind = kindOf(disk.mode);
    if (kind === undefined) throw this.#disk.damaged(`the inode ${disk.number} is of no kind`);
    if (kind === "socket") return undefined;
    const { uid, gid, mtime } = disk;
    const metadata: Metadata = { mode: disk.mode & 0o7777, uid, gid, mtime, xattrs: this.#xattrs(disk) };
    switch (kind) {
      case "directory":
        return { ...metadata, kind, children: new Map() };
      case "file":
        return { ...metadata, kind, content: this.#content(disk) };
      case "link":
        return { ...metadata, kind, target: this.#target(disk) };
      case "character":
      case "block": {
        const short = disk.content.readUInt32LE(0);
        const numbers =
          short === 0
            ? decodeDevice(disk.content.readUInt32LE(4))
            : { major: (short >>> 8) & 0xff, minor: short & 0xff };
        return { ...metadata, kind, ...numbers };
      }
      case "fifo":
        return { ...metadata, kind };
    }
  }

  #content(disk: DiskInode): Content {
    const { size } = disk;
    this.#left.bytes -= size;
    if (this.#left.bytes < 0) throw this.#tooMuch(`files of more than ${this.#limits.bytes} bytes together`);
    const { blockSize } = this.#disk;
    const runs: Run[] = [];
    for (const { at, block, count } of this.#disk.extents(disk)) {
      this.#signal?.throwIfAborted();
      const length = Math.min(count * blockSize, size - at * blockSize);
      const last = runs.at(-1);
      if (last !== undefined && last.at + last.length === at * blockSize) last.length += length;
      else runs.push({ at: at * blockSize, position: this.#store.position, length });
      for (const part of this.#disk.data(block, length)) this.#store.append(part);
    }
    return { size, runs };
  }

  #target(disk: DiskInode): ByteString {
    const { size } = disk;
    if (size === 0 || size > MAX_TARGET) throw this.#disk.damaged(`a link's target has ${size} bytes`);
    let bytes = disk.content;
    if ((disk.flags & FLAG_EXTENTS) === 0) {
      if (size > BLOCKS_LENGTH) throw this.#disk.damaged("a link's target is not there");
    } else {
      const [extent] = this.#disk.extents(disk);
      if (extent?.at !== 0) throw this.#disk.damaged("a link's target is not there");
      // Linux has none that is longer than a block.
      for (const part of this.#disk.data(extent.block, this.#disk.blockSize)) bytes = part;
    }
    const target = bytes.toString("latin1", 0, size);
    if (target.length !== size || target.includes("\0"))
      throw this.#disk.damaged("a link's target is cut off");
    return target;
  }

  #xattrs({ number, attributes, attributeBlock }: DiskInode): ReadonlyMap<ByteString, Uint8Array> {
    const wrong = (what: string) =>
      this.#disk.damaged(`the extended attributes of the inode ${number} ${what}`);
    const inInode = decodeAttributes({ inInode: attributes, block: undefined, wrong });
    if (attributeBlock === 0) return inInode;
    const none = Buffer.alloc(0);
    if (inInode.size > 0) {
      // Counted as the file's own: each has a copy.
      const block = this.#disk.block(attributeBlock);
      return new Map([...decodeAttributes({ inInode: none, block, wrong }), ...inInode]);
    }
    let inBlock = this.#attributes.get(attributeBlock);
    if (inBlock === undefined) {
      const block = this.#disk.attributeBlock(attributeBlock);
      inBlock = decodeAttributes({ inInode: none, block, wrong });
      this.#attributes.set(attributeBlock, inBlock);
    }
    return inBlock;
  }
}
