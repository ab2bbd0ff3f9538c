import { closeSync, constants, fstatSync, openSync } from "node:fs";
import { isAbsolute, join, normalize } from "node:path";
import type { Spec } from "../oci/runtime-spec.ts";
import { isBind } from "./guest-plan.ts";
import { isMissing, readFileInside, readStart } from "./inside-root.ts";
import { containerRootfs } from "./root-directory.ts";

const RESOLV_CONF = "/etc/resolv.conf";
/** Bytes that are read of it. */
const MOST = 64 * 1024;

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
  return below === "" ? readAt(source) : readInside(source, below);
}

function covers(destination: string, path: string): boolean {
  const directory = destination.replace(/\/$/, "");
  return path === directory || path.startsWith(`${directory}/`);
}

/** A file below `root`, which belongs to the image. */
function readInside(root: string, path: string): string {
  return readFileInside(root, path, MOST)?.toString("latin1") ?? "";
}

/** The client's own file. */
function readAt(path: string): string {
  let file: number;
  try {
    file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    if (isMissing(error)) return "";
    throw error;
  }
  try {
    return fstatSync(file).isFile() ? readStart(file, MOST).toString("latin1") : "";
  } finally {
    closeSync(file);
  }
}
