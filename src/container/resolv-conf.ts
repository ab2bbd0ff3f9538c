import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";
import { isAbsolute, join, normalize } from "node:path";
import type { Spec } from "../oci/runtime-spec.ts";
import { isBind } from "./guest-plan.ts";
import { DIRECTORY_ONLY, walkInside } from "./inside-root.ts";
import { containerRootfs } from "./root-directory.ts";

const RESOLV_CONF = "/etc/resolv.conf";
/** Bytes that are read of it. */
const MOST = 64 * 1024;
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

/** A file below `root`, which belongs to the image. */
function readInside(root: string, path: string): string {
  try {
    const text = walkInside(openSync(root, DIRECTORY_ONLY & ~constants.O_NOFOLLOW), path, {
      directory: (at) => openSync(at, DIRECTORY_ONLY),
      last: (at) => readAt(at, FILE_ONLY),
      tooManyLinks: () => "",
    });
    return text ?? "";
  } catch (error) {
    if (!isMissing(error)) throw error;
    return "";
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
