import { closeSync, constants, mkdirSync, openSync, readlinkSync, statSync } from "node:fs";
import { isAbsolute, join } from "node:path";
import { UruncError } from "../errors.ts";

/** As the kernel's own limit for one path (path_resolution(7)). */
const MOST_LINKS = 40;

/**
 * The container's root file system on the host, checked.
 *
 * @param bundle absolute
 * @param root `root.path` of the specification, absolute or relative to the bundle
 * @throws UruncError `bundle-invalid`
 */
export function containerRootfs(bundle: string, root: string): string {
  const path = isAbsolute(root) ? root : join(bundle, root);
  let isDirectory: boolean;
  try {
    isDirectory = statSync(path).isDirectory();
  } catch (cause) {
    throw new UruncError(
      "bundle-invalid",
      `the root file system ${path} does not exist: name one in root.path`,
      {
        cause,
      },
    );
  }
  if (!isDirectory) throw new UruncError("bundle-invalid", `the root file system ${path} is not a directory`);
  return path;
}

/** `O_PATH` of Linux, which Node's constants leave out: a descriptor that only names a directory. */
const O_PATH = 0o10000000;
const DIRECTORY_ONLY = O_PATH | constants.O_DIRECTORY | constants.O_NOFOLLOW;

/**
 * Makes what the guest will mount over where the root is read-only, as the guest cannot make it there.
 *
 * The path is walked by descriptors, links followed as if the root were `/`: neither a link of the image nor one
 * that somebody puts there meanwhile leads out of it. What is there already stays.
 *
 * @param root a host path
 * @param directory false for a file
 * @throws UruncError `bundle-invalid`: too many links, or a file where a directory must be
 */
export function makeMountPoint(root: string, destination: string, directory: boolean): void {
  const open = [openSync(root, DIRECTORY_ONLY)];
  try {
    const left = destination.split("/").filter((name) => name !== "" && name !== ".");
    for (let links = 0; left.length > 0; ) {
      const name = left.shift() as string;
      if (name === "..") {
        if (open.length > 1) closeSync(open.pop() as number);
        continue;
      }
      const path = `/proc/self/fd/${open.at(-1)}/${name}`;
      const target = readLink(path);
      if (target !== undefined) {
        if (++links > MOST_LINKS) {
          throw new UruncError(
            "bundle-invalid",
            `the mount point ${destination} leads through more than ${MOST_LINKS} links`,
          );
        }
        if (target.startsWith("/")) for (const fd of open.splice(1)) closeSync(fd);
        left.unshift(...target.split("/").filter((part) => part !== "" && part !== "."));
        continue;
      }
      if (left.length === 0 && !directory) {
        makeFile(path);
        return;
      }
      open.push(openDirectory(path, destination));
    }
  } finally {
    for (const fd of open) closeSync(fd);
  }
}

/** A directory of the walk, made if it is not there. */
function openDirectory(path: string, destination: string): number {
  try {
    mkdirSync(path, { mode: 0o755 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
  try {
    return openSync(path, DIRECTORY_ONLY);
  } catch (cause) {
    throw new UruncError(
      "bundle-invalid",
      `the mount point ${destination} cannot be made: a part of it is there and is not a directory`,
      { cause },
    );
  }
}

function makeFile(path: string): void {
  try {
    closeSync(openSync(path, constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY, 0o644));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
}

function readLink(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}
