import { closeSync, openSync, readFileSync, readSync, realpathSync } from "node:fs";
import { dirname, join } from "node:path";
import { UruncError } from "../errors.ts";

/** The guest's files on the host, absolute paths. */
export interface ShareFiles {
  directory: string;
  kernel: string;
  initramfs: string;
  standin: string;
}

/** Their names in the directory, the same on the host and in the sandbox. */
export const KERNEL_FILE = "vmlinux";
export const INITRAMFS_FILE = "initramfs.cpio";
export const STANDIN_FILE = "urunc-standin";

/** Where the guest's files are: the configured directory, else `../share/urunc` of the executable's own place. */
export function shareDirectory(configured: string | undefined): string {
  return configured ?? join(dirname(realpathSync(process.execPath)), "../share/urunc");
}

/**
 * Finds the guest's files: in the configured directory, else in `../share/urunc` of the executable's own place.
 *
 * @throws UruncError `kernel-invalid` for a kernel that is missing or not ELF, `files-missing` for the others
 */
export function findShareFiles(configured: string | undefined): ShareFiles {
  const directory = shareDirectory(configured);
  const files: ShareFiles = {
    directory,
    kernel: join(directory, KERNEL_FILE),
    initramfs: join(directory, INITRAMFS_FILE),
    standin: join(directory, STANDIN_FILE),
  };
  checkKernel(files.kernel);
  for (const file of [files.initramfs, files.standin]) {
    if (readStart(file, 1) === undefined) {
      throw new UruncError(
        "files-missing",
        `${file} is missing: install urunc again, or set runtime.share in the configuration to the directory that has it`,
      );
    }
  }
  return files;
}

/** What `uname -r` says in the kernel of a directory, by the `kernel.json` beside it; undefined where there is none. */
export function kernelRelease(directory: string): string | undefined {
  try {
    const { release } = JSON.parse(readFileSync(join(directory, "kernel.json"), "utf8")) as {
      release?: unknown;
    };
    return typeof release === "string" ? release : undefined;
  } catch {
    return undefined;
  }
}

/** A PVH kernel is an ELF file; a bzImage would boot four times slower, anything else not at all. */
function checkKernel(path: string): void {
  const start = readStart(path, 4);
  if (start === undefined) {
    throw new UruncError(
      "kernel-invalid",
      `the guest kernel ${path} is missing: build one with "bunny kernel build", or install urunc again`,
    );
  }
  if (start.toString("latin1") !== "\x7fELF") {
    throw new UruncError(
      "kernel-invalid",
      `the guest kernel ${path} is not an ELF file (an uncompressed vmlinux): build one with "bunny kernel build"`,
    );
  }
}

function readStart(path: string, length: number): Buffer | undefined {
  let fd: number;
  try {
    fd = openSync(path, "r");
  } catch {
    return undefined;
  }
  try {
    const start = Buffer.alloc(length);
    return start.subarray(0, readSync(fd, start, 0, length, 0));
  } catch {
    return undefined;
  } finally {
    closeSync(fd);
  }
}
