import { closeSync, fstatSync, openSync, readlinkSync, readSync, type Stats } from "node:fs";
import { join } from "node:path";
import { KERNEL_FILE } from "../config/share.ts";
import { openFileInside, readFileInside, readStart } from "../container/inside-root.ts";
import { UruncError } from "../errors.ts";
import { permissionsOfRoot } from "./given.ts";
import { fileSystemOf, SUPERBLOCK_END } from "./superblock.ts";
import { configPath, IMAGE_FILE, IMAGE_FILE_MOST, IMAGE_PREFIX, type ImageWish, imageWish } from "./wish.ts";

/** What of an image's wishes was found in its root file system; paths are the host's, without links in them. */
export interface ImageFiles {
  readonly kernel?: {
    readonly path: string;
    /** Byte for byte one of ours. */
    readonly isOurs: boolean;
    /** An uncompressed one, as a microvm enters it. */
    readonly isElf: boolean;
    /** Its configuration, where that stands beside it. */
    readonly config?: string;
  };
  readonly block?: {
    readonly path: string;
    readonly type: "erofs" | "ext4" | undefined;
    /** The monitor may write to it. */
    readonly writable: boolean;
  };
  readonly initrd?: {
    readonly path: string;
    /** A cpio archive as it is, not compressed. */
    readonly isPlain: boolean;
  };
}

/** Bytes of a kernel's configuration: Linux with all its options has 300,000. */
const CONFIG_MOST = 1_048_576;

/** The same kernel in the form that other monitors want. */
const BZIMAGE_FILE = "bzImage";

const ELF = "\x7fELF";
const CPIO = /^07070[12]/;

/**
 * What an image asks for, by the bundle's annotations and by the image's own file of them.
 *
 * @param rootfs a host path, which need not exist
 * @throws UruncError `bundle-invalid`
 */
export function readImageWish(annotations: Record<string, string>, rootfs: string): ImageWish | undefined {
  const file = readFileInside(rootfs, IMAGE_FILE, IMAGE_FILE_MOST);
  return imageWish(annotations, file?.toString("utf8"));
}

/**
 * Looks for what an image brings.
 *
 * @param share the directory with the guest's files of ours
 * @throws UruncError `bundle-invalid`: a file that the image names is missing, or cannot be read by the monitor
 */
export function findImageFiles(wish: ImageWish, rootfs: string, share: string): ImageFiles {
  const { kernel, block, initrd } = wish;
  return {
    ...(kernel === undefined
      ? {}
      : {
          kernel: withFile(rootfs, "binary", kernel, (file, path) => ({
            path,
            isOurs: [KERNEL_FILE, BZIMAGE_FILE].some((name) => isSameFile(file, join(share, name))),
            isElf: readStart(file, ELF.length).toString("latin1") === ELF,
            ...configBeside(rootfs, kernel),
          })),
        }),
    ...(block === undefined
      ? {}
      : {
          block: withFile(rootfs, "block", block.path, (file, path, status) => ({
            path,
            type: fileSystemOf(readStart(file, SUPERBLOCK_END)),
            writable: (permissionsOfRoot(status) & 2) !== 0,
          })),
        }),
    ...(initrd === undefined
      ? {}
      : {
          initrd: withFile(rootfs, "initrd", initrd, (file, path) => ({
            path,
            isPlain: CPIO.test(readStart(file, 6).toString("latin1")),
          })),
        }),
  };
}

function withFile<T>(
  rootfs: string,
  key: string,
  path: string,
  look: (file: number, path: string, status: Stats) => T,
): T {
  const file = openFileInside(rootfs, path);
  if (file === undefined) {
    throw new UruncError(
      "bundle-invalid",
      `the image's annotation ${IMAGE_PREFIX}${key} names ${path}, and there is no such file in it`,
    );
  }
  try {
    const status = fstatSync(file);
    if ((permissionsOfRoot(status) & 4) === 0) {
      throw new UruncError(
        "bundle-invalid",
        `the image's ${path} cannot be opened by the monitor, which is root without capabilities: ` +
          "make the file root's, or readable for all",
      );
    }
    return look(file, readlinkSync(`/proc/self/fd/${file}`), status);
  } finally {
    closeSync(file);
  }
}

function configBeside(rootfs: string, kernel: string): { config?: string } {
  const config = readFileInside(rootfs, configPath(kernel), CONFIG_MOST);
  return config === undefined ? {} : { config: config.toString("latin1") };
}

function isSameFile(file: number, path: string): boolean {
  let other: number;
  try {
    other = openSync(path, "r");
  } catch {
    return false;
  }
  try {
    const { size } = fstatSync(file);
    if (size !== fstatSync(other).size) return false;
    const [one, two] = [Buffer.alloc(1 << 20), Buffer.alloc(1 << 20)];
    for (let at = 0; at < size; at += one.length) {
      const got = readSync(file, one, 0, one.length, at);
      if (readSync(other, two, 0, two.length, at) !== got || got === 0) return false;
      if (!one.subarray(0, got).equals(two.subarray(0, got))) return false;
    }
    return true;
  } finally {
    closeSync(other);
  }
}
