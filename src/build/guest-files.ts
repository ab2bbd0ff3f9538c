import { statSync } from "node:fs";
import { join } from "node:path";
import { shareDirectory } from "../config/share.ts";
import { UruncError } from "../errors.ts";

/** What of the guest's files goes into images. */
export interface GuestFiles {
  /** vmlinux. */
  kernel: string;
  /** Its configuration. */
  config: string;
  urunit: string;
}

/**
 * Our own kernel, its configuration and our init.
 *
 * @param directory where they are (default: where urunc's are)
 */
export function guestFiles(directory: string = shareDirectory(undefined)): GuestFiles {
  return {
    kernel: join(directory, "vmlinux"),
    config: join(directory, "kernel.config"),
    urunit: join(directory, "urunit"),
  };
}

/**
 * The size of one of them, in bytes.
 *
 * @throws UruncError `files-missing`
 */
export function guestFileSize(path: string): number {
  const status = statSync(path, { throwIfNoEntry: false });
  if (status?.isFile() === true) return status.size;
  throw new UruncError("files-missing", `${path} is missing: build urunc or install it again`);
}
