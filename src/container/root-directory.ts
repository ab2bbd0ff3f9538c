import { lstatSync, mkdirSync, readlinkSync, statSync, writeFileSync } from "node:fs";
import { dirname, isAbsolute, join } from "node:path";
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

/**
 * Where a path leads inside a root, links followed as if the root were `/`, so that none leads out of it. What does
 * not exist is taken as it is written.
 *
 * @returns a host path below `root`
 * @throws UruncError `bundle-invalid`: too many links
 */
export function resolveInRoot(root: string, path: string): string {
  const left = path.split("/");
  const done: string[] = [];
  for (let links = 0; left.length > 0; ) {
    const name = left.shift() as string;
    if (name === "" || name === ".") continue;
    if (name === "..") {
      done.pop();
      continue;
    }
    const target = readLink(join(root, ...done, name));
    if (target === undefined) {
      done.push(name);
      continue;
    }
    if (++links > MOST_LINKS) {
      throw new UruncError("bundle-invalid", `the path ${path} leads through more than ${MOST_LINKS} links`);
    }
    if (target.startsWith("/")) done.length = 0;
    left.unshift(...target.split("/"));
  }
  return join(root, ...done);
}

function readLink(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}

/**
 * Makes what the guest will mount over where the root is read-only, as the guest cannot make it there.
 *
 * @param directory false for a file
 */
export function makeMountPoint(root: string, destination: string, directory: boolean): void {
  const path = resolveInRoot(root, destination);
  try {
    lstatSync(path);
    return;
  } catch {
    // Made below.
  }
  mkdirSync(directory ? path : dirname(path), { recursive: true, mode: 0o755 });
  if (!directory) writeFileSync(path, "", { flag: "wx", mode: 0o644 });
}
