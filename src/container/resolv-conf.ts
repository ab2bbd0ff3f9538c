import { closeSync, constants, fstatSync, openSync, readlinkSync, readSync } from "node:fs";
import { isAbsolute, join, normalize } from "node:path";
import type { Spec } from "../oci/runtime-spec.ts";
import { isBind } from "./guest-plan.ts";
import { containerRootfs } from "./root-directory.ts";

const RESOLV_CONF = "/etc/resolv.conf";
/** Bytes that are read of it. */
const MOST = 64 * 1024;
/** As the kernel's own limit for one path (path_resolution(7)). */
const MOST_LINKS = 40;
/** `O_PATH` of Linux, which Node's constants leave out: a descriptor that only names a directory. */
const O_PATH = 0o10000000;
const DIRECTORY_ONLY = O_PATH | constants.O_DIRECTORY | constants.O_NOFOLLOW;
const FILE_ONLY = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/**
 * The container's `/etc/resolv.conf`, as its mounts have it; the first 64 KiB. Empty where there is none, as a C library
 * takes it then.
 *
 * @param bundle the caller's, absolute: relative sources are relative to it
 */
export function readResolvConf(spec: Spec, bundle: string): string {
  const over = (spec.mounts ?? [])
    .filter(({ destination }) => covers(normalize(destination), RESOLV_CONF))
    .at(-1);
  if (over === undefined) return readInside(containerRootfs(bundle, spec.root.path), RESOLV_CONF);
  // In another file system that the guest mounts there is nothing at the start.
  if (!isBind(over) || over.source === undefined) return "";
  const source = isAbsolute(over.source) ? over.source : join(bundle, over.source);
  const below = RESOLV_CONF.slice(normalize(over.destination).replace(/\/$/, "").length);
  // The client names the file itself, which is bound whatever links lead to it.
  return below === "" ? readAt(source, constants.O_RDONLY | constants.O_NONBLOCK) : readInside(source, below);
}

function covers(destination: string, path: string): boolean {
  const directory = destination.replace(/\/$/, "");
  return path === directory || path.startsWith(`${directory}/`);
}

/**
 * A file below `root`, which belongs to the image: its path is walked by descriptors, links followed as if the root were
 * `/`, so that none leads out of it.
 */
function readInside(root: string, path: string): string {
  const open: number[] = [];
  try {
    open.push(openSync(root, DIRECTORY_ONLY & ~constants.O_NOFOLLOW));
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
        if (++links > MOST_LINKS) return "";
        if (target.startsWith("/")) for (const fd of open.splice(1)) closeSync(fd);
        left.unshift(...parts(target));
        continue;
      }
      if (left.length === 0) return readAt(at, FILE_ONLY);
      open.push(openSync(at, DIRECTORY_ONLY));
    }
  } catch (error) {
    if (!isMissing(error)) throw error;
  } finally {
    for (const fd of open) closeSync(fd);
  }
  return "";
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

function readAt(path: string, flags: number): string {
  let file: number;
  try {
    file = openSync(path, flags);
  } catch (error) {
    if (isMissing(error)) return "";
    throw error;
  }
  try {
    if (!fstatSync(file).isFile()) return "";
    const bytes = Buffer.alloc(MOST);
    let length = 0;
    for (let got = -1; got !== 0 && length < MOST; length += got)
      got = readSync(file, bytes, length, MOST - length, null);
    return bytes.toString("latin1", 0, length);
  } finally {
    closeSync(file);
  }
}

/** It is not there, or is no file that could be read. */
function isMissing(error: unknown): boolean {
  return ["ENOENT", "ENOTDIR", "ELOOP", "ENXIO", "EISDIR"].includes(
    (error as NodeJS.ErrnoException).code ?? "",
  );
}
