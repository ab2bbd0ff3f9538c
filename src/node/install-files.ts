import {
  chmodSync,
  chownSync,
  copyFileSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
} from "node:fs";
import { join } from "node:path";

export const PROGRAM = "urunc";
/** Further names of the executable. */
export const LINKS = ["bunny", "containerd-shim-urunc-v2"];
/** Below `share/urunc`. */
const FILES: readonly [name: string, mode: number][] = [
  ["vmlinux", 0o644],
  ["bzImage", 0o644],
  ["kernel.config", 0o644],
  ["kernel.json", 0o644],
  ["initramfs.cpio", 0o644],
  ["urunit", 0o755],
  ["urunc-standin", 0o755],
  ["bunny-keeper", 0o755],
];

/**
 * Puts an installation into another place. The executable comes last: what runs meanwhile finds the guest's files of
 * before or of now, but finds them.
 *
 * @param from the installation's prefix, such as `dist/`
 */
export function installFiles(from: string, prefix: string): void {
  const share = join(prefix, "share/urunc");
  const bin = join(prefix, "bin");
  const libexec = join(prefix, "libexec/urunc");
  process.umask(0o022);
  mkdirSync(share, { recursive: true });
  mkdirSync(bin, { recursive: true });
  mkdirSync(libexec, { recursive: true });
  for (const [name, mode] of FILES) put(join(from, "share/urunc", name), join(share, name), mode);
  putDirectory(join(from, "share/urunc/kernel"), join(share, "kernel"));
  put(join(from, "bin", PROGRAM), join(bin, PROGRAM), 0o755);
  // By what containerd's shim calls the runtime.
  putLink(`../../bin/${PROGRAM}`, join(libexec, "runc"));
  for (const name of LINKS) putLink(PROGRAM, join(bin, name));
}

/** Replaces a name in one go: what has the old file open, or runs it, keeps it. */
function replace(path: string, make: (temporary: string) => void): void {
  const temporary = `${path}.urunc-new`;
  rmSync(temporary, { recursive: true, force: true });
  try {
    make(temporary);
    renameSync(temporary, path);
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
}

function put(from: string, to: string, mode: number): void {
  replace(to, (temporary) => {
    copyFileSync(from, temporary);
    chownSync(temporary, 0, 0);
    chmodSync(temporary, mode);
  });
}

function putLink(target: string, path: string): void {
  replace(path, (temporary) => symlinkSync(target, temporary));
}

/** As a whole: a file of an earlier version must not stay among the new ones. */
function putDirectory(from: string, to: string): void {
  const old = `${to}.urunc-old`;
  rmSync(old, { recursive: true, force: true });
  replace(to, (temporary) => {
    copyDirectory(from, temporary);
    // A directory is not renamed over one that has files.
    try {
      renameSync(to, old);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    }
  });
  rmSync(old, { recursive: true, force: true });
}

function copyDirectory(from: string, to: string): void {
  mkdirSync(to, { mode: 0o755 });
  chownSync(to, 0, 0);
  for (const entry of readdirSync(from, { withFileTypes: true })) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)];
    if (entry.isDirectory()) copyDirectory(source, target);
    else put(source, target, 0o644);
  }
}
