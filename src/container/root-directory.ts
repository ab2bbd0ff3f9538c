import { closeSync, constants, mkdirSync, openSync, realpathSync, statSync } from "node:fs";
import { isAbsolute, join, relative } from "node:path";
import { UruncError } from "../errors.ts";
import { DIRECTORY_ONLY, MOST_LINKS, walkInside } from "./inside-root.ts";

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

/**
 * Makes what the guest will mount over where the root is read-only, as the guest cannot make it there.
 *
 * The path is walked inside the root. What is there already stays.
 *
 * @param root a host path
 * @param directory false for a file
 * @throws UruncError `bundle-invalid`: too many links, or a file where a directory must be
 */
export function makeMountPoint(root: string, destination: string, directory: boolean): void {
  mountPlace(root, destination, directory);
}

/**
 * The same; gives the place that the destination is, links resolved: a path inside the root, absolute.
 *
 * @throws UruncError `bundle-invalid`: as `makeMountPoint`; the destination is the root itself
 */
export function resolveMountPoint(root: string, destination: string, directory: boolean): string {
  const place = mountPlace(root, destination, directory);
  const inside = place === undefined ? "" : relative(realpathSync(root), place);
  if (inside !== "" && !inside.startsWith("..")) return `/${inside}`;
  throw new UruncError("bundle-invalid", `nothing can be mounted at ${destination}: it is the root itself`);
}

function mountPlace(root: string, destination: string, directory: boolean): string | undefined {
  return walkInside(openSync(root, DIRECTORY_ONLY), destination, {
    directory: (at) => openDirectory(at, destination),
    last(at) {
      if (directory) closeSync(openDirectory(at, destination));
      else makeFile(at);
      // What is above it is a descriptor, of which the kernel knows where it is.
      return realpathSync(at);
    },
    tooManyLinks() {
      throw new UruncError(
        "bundle-invalid",
        `the mount point ${destination} leads through more than ${MOST_LINKS} links`,
      );
    },
  });
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
