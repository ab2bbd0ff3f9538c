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
import { type ByteString, type Directory, type Inode, type Metadata, shown } from "./tree.ts";

const BUFFER = 1 << 20;
const SLASH = Buffer.from("/");

/**
 * Reads a directory of this system as a tree: with owners, devices, hard links, times and extended attributes as far as
 * whoever asks may see them. Sockets are left out, as in layers: without their program they are nothing.
 *
 * @param store where files' bytes go; it must be open as long as the tree is used
 * @throws UruncError `file-system` for what cannot be read, or changes while it is; the signal's reason
 */
export function treeOfDirectory(path: string, store: ContentStore, signal?: AbortSignal): Directory {
  const inodes = new Map<string, Inode>();
  const top = Buffer.from(resolve(path));
  const root = attempt(top, () => {
    const status = lstatSync(top, { bigint: true });
    if (!status.isDirectory()) throw new Error("it is no directory");
    return directoryOf(top, status);
  });
  // Not by recursion: directories may nest deeper than a stack is.
  const rest: { path: Buffer; directory: Directory }[] = [{ path: top, directory: root }];
  for (let next = rest.pop(); next !== undefined; next = rest.pop()) {
    signal?.throwIfAborted();
    const { path: parent, directory } = next;
    for (const name of attempt(parent, () => namesIn(parent))) {
      const file = Buffer.concat([parent, SLASH, Buffer.from(name, "latin1")]);
      const inode = attempt(file, () => inodeOf(file, inodes, store));
      if (inode === undefined) continue;
      directory.children.set(name, inode);
      if (inode.kind === "directory") rest.push({ path: file, directory: inode });
    }
  }
  return root;
}

function namesIn(path: Buffer): ByteString[] {
  return readdirSync(path, { encoding: "buffer" }).map((name) => name.toString("latin1"));
}

function inodeOf(path: Buffer, inodes: Map<string, Inode>, store: ContentStore): Inode | undefined {
  const status = lstatSync(path, { bigint: true });
  if (status.isDirectory()) return directoryOf(path, status);
  const key = `${status.dev}:${status.ino}`;
  const known = inodes.get(key);
  if (known !== undefined) return known;
  const inode = otherOf(path, status, store);
  if (inode !== undefined && status.nlink > 1n) inodes.set(key, inode);
  return inode;
}

function otherOf(path: Buffer, status: BigIntStats, store: ContentStore): Inode | undefined {
  const metadata = metadataOf(path, status);
  if (status.isSymbolicLink()) {
    const target = readlinkSync(path, { encoding: "buffer" }).toString("latin1");
    return { ...metadata, kind: "link", target };
  }
  if (status.isFile()) return { ...metadata, kind: "file", content: contentOf(path, status, store) };
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

function directoryOf(path: Buffer, status: BigIntStats): Directory {
  return { ...metadataOf(path, status), kind: "directory", children: new Map() };
}

function metadataOf(path: Buffer, status: BigIntStats): Metadata {
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
    xattrs: readAttributes(path),
  };
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
