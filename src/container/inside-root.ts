import { closeSync, constants, readlinkSync } from "node:fs";

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
