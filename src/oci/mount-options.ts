/**
 * The words of an OCI mount's `options`, split as `mount(2)` wants them: flags, propagation, and the rest as data.
 * Source: mount(8), "Filesystem-independent mount options", and runtime-spec `config-linux.md`; numbers of
 * `<linux/mount.h>`.
 */
export interface MountOptions {
  /** `MS_*` of the mount itself. */
  flags: number;
  /** `MS_*` of a second call that sets the propagation; 0 for none. */
  propagation: number;
  /** Options of the file system, joined by commas. */
  data: string;
  /** True for `tmpcopyup`, an extension of runc: the new tmpfs gets a copy of what it hides. */
  copyUp: boolean;
  /** One of the flags is for the mounts below too (`rro`, `rnosuid`, …). */
  recursive: boolean;
}

export const MS_RDONLY = 0x1;
export const MS_NOSUID = 0x2;
export const MS_NODEV = 0x4;
export const MS_NOEXEC = 0x8;
const MS_SYNCHRONOUS = 0x10;
const MS_REMOUNT = 0x20;
const MS_MANDLOCK = 0x40;
const MS_DIRSYNC = 0x80;
const MS_NOSYMFOLLOW = 0x100;
const MS_NOATIME = 0x400;
const MS_NODIRATIME = 0x800;
export const MS_BIND = 0x1000;
export const MS_REC = 0x4000;
const MS_SILENT = 0x8000;
const MS_UNBINDABLE = 0x20000;
const MS_PRIVATE = 0x40000;
const MS_SLAVE = 0x80000;
const MS_SHARED = 0x100000;
const MS_RELATIME = 0x200000;
const MS_I_VERSION = 0x800000;
const MS_STRICTATIME = 0x1000000;
const MS_LAZYTIME = 0x2000000;

const SET: Record<string, number> = {
  ro: MS_RDONLY,
  nosuid: MS_NOSUID,
  nodev: MS_NODEV,
  noexec: MS_NOEXEC,
  sync: MS_SYNCHRONOUS,
  remount: MS_REMOUNT,
  mand: MS_MANDLOCK,
  dirsync: MS_DIRSYNC,
  nosymfollow: MS_NOSYMFOLLOW,
  noatime: MS_NOATIME,
  nodiratime: MS_NODIRATIME,
  bind: MS_BIND,
  rbind: MS_BIND | MS_REC,
  silent: MS_SILENT,
  relatime: MS_RELATIME,
  iversion: MS_I_VERSION,
  strictatime: MS_STRICTATIME,
  lazytime: MS_LAZYTIME,
};

const CLEAR: Record<string, number> = {
  rw: MS_RDONLY,
  suid: MS_NOSUID,
  dev: MS_NODEV,
  exec: MS_NOEXEC,
  async: MS_SYNCHRONOUS,
  nomand: MS_MANDLOCK,
  symfollow: MS_NOSYMFOLLOW,
  atime: MS_NOATIME,
  diratime: MS_NODIRATIME,
  loud: MS_SILENT,
  norelatime: MS_RELATIME,
  noiversion: MS_I_VERSION,
  nostrictatime: MS_STRICTATIME,
  nolazytime: MS_LAZYTIME,
  defaults: 0,
};

const PROPAGATION: Record<string, number> = {
  private: MS_PRIVATE,
  rprivate: MS_PRIVATE | MS_REC,
  slave: MS_SLAVE,
  rslave: MS_SLAVE | MS_REC,
  shared: MS_SHARED,
  rshared: MS_SHARED | MS_REC,
  unbindable: MS_UNBINDABLE,
  runbindable: MS_UNBINDABLE | MS_REC,
};

/** The same flags by mount_setattr(2) with `AT_RECURSIVE`: what a newer Docker makes of a read-only volume is `rro`. */
const RECURSIVE = /^r(ro|rw|(no)?(suid|dev|exec|atime|diratime|relatime|strictatime|symfollow))$/;

/** Splits the options in their order: a later word undoes an earlier one, as `rw` does `ro`. */
export function parseMountOptions(options: readonly string[]): MountOptions {
  let flags = 0;
  let propagation = 0;
  let copyUp = false;
  let recursive = false;
  const data: string[] = [];
  for (const word of options) {
    const isRecursive = RECURSIVE.test(word);
    const option = isRecursive ? word.slice(1) : word;
    recursive ||= isRecursive;
    if (Object.hasOwn(SET, option)) flags |= SET[option] as number;
    else if (Object.hasOwn(CLEAR, option)) flags &= ~(CLEAR[option] as number);
    else if (Object.hasOwn(PROPAGATION, option)) propagation = PROPAGATION[option] as number;
    else if (option === "tmpcopyup") copyUp = true;
    else if (option !== "") data.push(option);
  }
  return { flags, propagation, data: data.join(","), copyUp, recursive };
}
