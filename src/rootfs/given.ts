import { realpathSync, type Stats, statSync } from "node:fs";
import { isAbsolute, normalize } from "node:path";
import { ordinaryUser } from "../container/rootless.ts";
import { UruncError } from "../errors.ts";
import type { LowerFile, RootSource, UpperFile } from "./source.ts";
import { fileSystemIn } from "./superblock.ts";

/**
 * Annotations by which the caller on this host gives the root as files of this host's. They are read from the bundle's
 * `config.json` alone: what an image says must never attach a file of the host's to a machine. For the same reason the
 * prefix is another than that of the annotations which a cluster's users may set.
 */
export const ROOT_PREFIX = "com.urunc.root.";
export const ROOT_LOWER = `${ROOT_PREFIX}lower`;
export const ROOT_UPPER = `${ROOT_PREFIX}upper`;
const TMPFS = "tmpfs";

/** Permission bits of one class of users. */
const READ = 4;
const WRITE = 2;

/**
 * The root that annotations of the bundle give (`docs/rootfs.md`, "A root of files"); undefined where there are none.
 *
 * @throws UruncError `bundle-invalid`: an unknown or contradicting annotation; a file that is missing, is no file system,
 *   or cannot be opened by the monitor
 */
export function givenRoot(annotations: Record<string, string>): RootSource | undefined {
  const keys = Object.keys(annotations).filter((key) => key.startsWith(ROOT_PREFIX));
  const unknown = keys.find((key) => key !== ROOT_LOWER && key !== ROOT_UPPER);
  if (unknown !== undefined) {
    throw new UruncError(
      "bundle-invalid",
      `the annotation ${unknown} is unknown: known are ${ROOT_LOWER} and ${ROOT_UPPER}`,
    );
  }
  const [lower, upper] = [annotations[ROOT_LOWER], annotations[ROOT_UPPER]];
  if (lower === undefined && upper === undefined) return undefined;
  if (lower === undefined) {
    throw new UruncError("bundle-invalid", `the annotation ${ROOT_UPPER} needs ${ROOT_LOWER} beside it`);
  }
  return { kind: "overlay", lower: lowerFile(lower), upper: upperFile(upper ?? TMPFS) };
}

function lowerFile(value: string): LowerFile {
  const path = checkedFile(ROOT_LOWER, value, READ);
  const type = fileSystemIn(path);
  if (type !== undefined) return { path, type };
  throw new UruncError(
    "bundle-invalid",
    `${path} (annotation ${ROOT_LOWER}) holds neither an EROFS nor an ext4 file system: make one with "bunny rootfs"`,
  );
}

function upperFile(value: string): UpperFile {
  if (value === TMPFS) return { kind: "tmpfs" };
  const path = checkedFile(ROOT_UPPER, value, READ | WRITE);
  if (fileSystemIn(path) === "ext4") return { kind: "file", path };
  throw new UruncError(
    "bundle-invalid",
    `${path} (annotation ${ROOT_UPPER}) holds no ext4 file system: make one with mkfs.ext4, or say ${TMPFS}`,
  );
}

/** The file itself, links resolved: what is bound into the sandbox is what was looked at. */
function checkedFile(annotation: string, value: string, access: number): string {
  if (!isAbsolute(value) || normalize(value) !== value) {
    throw new UruncError(
      "bundle-invalid",
      `the annotation ${annotation} is ${JSON.stringify(value)}: it must be an absolute path without "." and ".."`,
    );
  }
  let path: string;
  let status: Stats;
  try {
    path = realpathSync(value);
    status = statSync(path);
  } catch (cause) {
    throw new UruncError(
      "bundle-invalid",
      `the file ${value} (annotation ${annotation}) cannot be looked at: ${(cause as Error).message}`,
      { cause },
    );
  }
  if (!status.isFile()) {
    throw new UruncError("bundle-invalid", `${value} (annotation ${annotation}) is not a regular file`);
  }
  if (ordinaryUser() === undefined && (permissionsOfRoot(status) & access) !== access) {
    throw new UruncError(
      "bundle-invalid",
      `${value} (annotation ${annotation}) cannot be opened by the monitor, which is root without capabilities: ` +
        `chown 0 and chmod ${access === READ ? "u+r" : "u+rw"} the file`,
    );
  }
  return path;
}

/**
 * What user and group 0 may do with a file when no capability lets them do more. In a sandbox of another user's they are
 * that user.
 */
export function permissionsOfRoot({ uid, gid, mode }: Stats): number {
  if (uid === (ordinaryUser()?.uid ?? 0)) return mode >> 6;
  return gid === 0 ? mode >> 3 : mode;
}
