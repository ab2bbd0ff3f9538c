import { readFileSync } from "node:fs";

/** A mount of a process's mount namespace, as `/proc/PID/mountinfo` has it (proc(5)). */
export interface MountEntry {
  /** Of the file system's device; major 0 is none of its own. */
  readonly major: number;
  readonly minor: number;
  /** The directory of the file system that is mounted. */
  readonly root: string;
  readonly mountPoint: string;
  /** Of this mount, and of its file system: as mount(8) takes them. */
  readonly options: string;
  readonly superOptions: string;
  /** Of the file system. */
  readonly type: string;
}

/** The mounts of this process's mount namespace. */
export function ownMountTable(): MountEntry[] {
  return parseMountTable(readFileSync("/proc/self/mountinfo", "utf8"));
}

/** The mounts in the order in which they were made, of those at one place the topmost last. */
export function parseMountTable(text: string): MountEntry[] {
  return text.split("\n").flatMap((line) => {
    const [mount, filesystem] = line.split(" - ");
    const [, , device, root, mountPoint, options] = mount?.split(" ") ?? [];
    const [type, , superOptions] = filesystem?.split(" ") ?? [];
    const [, major, minor] = /^(\d+):(\d+)$/.exec(device ?? "") ?? [];
    if (root === undefined || mountPoint === undefined || options === undefined) return [];
    if (type === undefined || superOptions === undefined || major === undefined) return [];
    return [
      {
        major: Number(major),
        minor: Number(minor),
        root: withoutEscapes(root),
        mountPoint: withoutEscapes(mountPoint),
        options,
        superOptions,
        type,
      },
    ];
  });
}

/** What is mounted at a place, and seen there; undefined: nothing. */
export function mountedAt(table: readonly MountEntry[], mountPoint: string): MountEntry | undefined {
  return table.findLast((entry) => entry.mountPoint === mountPoint);
}

/** The kernel writes bytes that would mean something else (blanks, newlines, backslashes) as three octal digits. */
export function withoutEscapes(text: string): string {
  return text.replace(/(\\[0-7]{3})+/g, (bytes) =>
    Buffer.from((bytes.match(/[0-7]{3}/g) ?? []).map((digits) => Number.parseInt(digits, 8))).toString(),
  );
}
