import { closeSync, constants, fstatSync, openSync, readlinkSync, readSync } from "node:fs";

/** As the kernel's own limit for one path (path_resolution(7)). */
export const MOST_LINKS = 40;

/** `O_PATH` of Linux, which Node's constants leave out: a descriptor that only names a directory. */
const O_PATH = 0o10000000;
export const DIRECTORY_ONLY = O_PATH | constants.O_DIRECTORY | constants.O_NOFOLLOW;

/** What is done on the way. Each gets a path by a descriptor, whose last part is no link. */
export interface InsideSteps<T> {
  /** Opens a directory on the way, with `DIRECTORY_ONLY`. */
  directory(at: string): number;
  /** What the path ends in. */
  last(at: string): T;
  /** The path leads through more than `MOST_LINKS` links. */
  tooManyLinks(): T;
}

/**
 * Walks a path below a directory by descriptors, links followed as if that directory were `/`: neither a link of the
 * image nor one that somebody puts there meanwhile leads out of it.
 *
 * @param root a descriptor of the directory, which is closed at the end
 * @returns what the path ends in, or undefined where it ends in a directory on the way (`..`, the root)
 * @throws what the steps throw
 */
export function walkInside<T>(root: number, path: string, steps: InsideSteps<T>): T | undefined {
  const open = [root];
  try {
    const left = parts(path);
    for (let links = 0; left.length > 0; ) {
      const name = left.shift() as string;
      if (name === "..") {
        if (open.length > 1) closeSync(open.pop() as number);
        continue;
      }
      const at = `/proc/self/fd/${open.at(-1)}/${name}`;
      const target = readLink(at);
      if (target !== undefined) {
        if (++links > MOST_LINKS) return steps.tooManyLinks();
        if (target.startsWith("/")) for (const fd of open.splice(1)) closeSync(fd);
        left.unshift(...parts(target));
        continue;
      }
      if (left.length === 0) return steps.last(at);
      open.push(steps.directory(at));
    }
  } finally {
    for (const fd of open) closeSync(fd);
  }
  return undefined;
}

/**
 * Opens a regular file below a directory, to be read; undefined where there is none.
 *
 * @param root a host path, whose own links are followed
 */
export function openFileInside(root: string, path: string): number | undefined {
  try {
    return walkInside(openSync(root, DIRECTORY_ONLY & ~constants.O_NOFOLLOW), path, {
      directory: (at) => openSync(at, DIRECTORY_ONLY),
      last: openFile,
      tooManyLinks: () => undefined,
    });
  } catch (error) {
    if (!isMissing(error)) throw error;
    return undefined;
  }
}

/** The first `most` bytes of a regular file below a directory; undefined where there is none. */
export function readFileInside(root: string, path: string, most: number): Buffer | undefined {
  const file = openFileInside(root, path);
  if (file === undefined) return undefined;
  try {
    return readStart(file, most);
  } finally {
    closeSync(file);
  }
}

/** The first `most` bytes of what a descriptor is, or as many as there are. */
export function readStart(file: number, most: number): Buffer {
  const bytes = Buffer.alloc(Math.min(most, fstatSync(file).size || most));
  let length = 0;
  for (let got = -1; got !== 0 && length < bytes.length; length += got)
    got = readSync(file, bytes, length, bytes.length - length, length);
  return bytes.subarray(0, length);
}

function openFile(at: string): number | undefined {
  const file = openSync(at, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  if (fstatSync(file).isFile()) return file;
  closeSync(file);
  return undefined;
}

/** It is not there, or is no file that could be read. */
export function isMissing(error: unknown): boolean {
  return ["ENOENT", "ENOTDIR", "ELOOP", "ENXIO", "EISDIR"].includes(
    (error as NodeJS.ErrnoException).code ?? "",
  );
}

function parts(path: string): string[] {
  return path.split("/").filter((part) => part !== "" && part !== ".");
}

function readLink(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}
