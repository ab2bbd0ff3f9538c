import {
  closeSync,
  constants,
  copyFileSync,
  fstatSync,
  openSync,
  readFileSync,
  statSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { UruncError } from "../errors.ts";
import { type CpioEntry, writeCpio } from "../image/cpio.ts";

/** Bytes of a file of the client's: what it writes itself is a thousand times smaller. */
const CLIENT_FILE_MOST = 1_048_576;

/** Archives behind one another begin at a multiple of it. */
const ALIGNMENT = 4;

/** Makes a copy of an initrd with further files behind it, which the kernel unpacks over what is there. */
export function appendInitrd(initrd: string, path: string, entries: readonly CpioEntry[]): void {
  copyFileSync(initrd, path, constants.COPYFILE_FICLONE);
  const file = openSync(path, "a", 0o600);
  try {
    writeSync(file, new Uint8Array(-fstatSync(file).size & (ALIGNMENT - 1)));
    writeFileSync(file, writeCpio(entries));
  } finally {
    closeSync(file);
  }
}

/**
 * A file of the client's that becomes one of the guest's own.
 *
 * @throws UruncError `bundle-invalid`: it is no file, or too big a one
 */
export function readClientFile(path: string): Uint8Array {
  const status = statSync(path);
  if (status.isFile() && status.size <= CLIENT_FILE_MOST) return readFileSync(path);
  throw new UruncError(
    "bundle-invalid",
    `${path} cannot be added to the guest's root: it must be a file of at most ${CLIENT_FILE_MOST} bytes`,
  );
}
