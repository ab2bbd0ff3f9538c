import { readFileSync, realpathSync, type Stats, statSync } from "node:fs";
import { join } from "node:path";
import { ordinaryUser } from "../container/rootless.ts";
import { type MountEntry, mountedAt, ownMountTable } from "./mount-table.ts";

/** A container's own root that is a whole block device of this host's, mounted there: what its snapshotter made. */
export interface Snapshot {
  /** In the host's `/dev`. */
  readonly device: string;
  readonly major: number;
  readonly minor: number;
  /** As the guest's kernel calls it; ext4's driver mounts ext2 and ext3 too. */
  readonly type: "erofs" | "ext4";
  readonly readOnly: boolean;
  /** How it is mounted on the host, for when it is mounted again. */
  readonly mount: { readonly point: string; readonly type: string; readonly options: readonly string[] };
  /** Of a loop device, which may end with its last user: what it is of. */
  readonly loop?: LoopSource;
}

/** A file, and the part of it that is the device; bytes, `sizeLimit` 0: up to the file's end. */
export interface LoopSource {
  readonly file: string;
  readonly offset: number;
  readonly sizeLimit: number;
}

/** Whether a root is such a device, or why not: the end of a sentence. */
export type FoundSnapshot =
  | { readonly kind: "found"; readonly snapshot: Snapshot }
  | { readonly kind: "none"; readonly why: string };

/** What the kernel says of a device: files of `/sys/dev/block/MAJOR:MINOR`. */
type SystemFiles = (name: string) => string | undefined;

const GUEST_TYPES: Readonly<Record<string, Snapshot["type"]>> = {
  ext2: "ext4",
  ext3: "ext4",
  ext4: "ext4",
  erofs: "erofs",
};

/**
 * Looks whether a root can be given to a machine as a disk.
 *
 * @param rootfs a host path
 * @param binds host paths that are bound into the container
 */
export function findSnapshot(rootfs: string, binds: readonly string[]): FoundSnapshot {
  if (ordinaryUser() !== undefined) return { kind: "none", why: "only root can take a device from the host" };
  const point = realpathSync(rootfs);
  const table = ownMountTable();
  const entry = wholeDeviceAt(table, point);
  if (typeof entry === "string") return { kind: "none", why: entry };
  const device = statSync(point).dev;
  const inside = binds.find((path) => statusOf(path)?.dev === device);
  if (inside !== undefined)
    return { kind: "none", why: `a part of it, ${inside}, is a volume of the container` };
  const snapshot = snapshotOf(entry, systemFilesOf(entry));
  return isDevice(snapshot)
    ? { kind: "found", snapshot }
    : {
        kind: "none",
        why: `${snapshot.device} is not the device ${entry.major}:${entry.minor} that is mounted there`,
      };
}

/** The mount at a place, where it is all of a device that is mounted nowhere else; or why not. */
export function wholeDeviceAt(table: readonly MountEntry[], point: string): MountEntry | string {
  const entry = mountedAt(table, point);
  if (entry === undefined) return "it is no mount of a block device";
  if (entry.major === 0) return `it is a mount of the type ${entry.type}, and not of a block device`;
  if (entry.root !== "/") return `only the directory ${entry.root} of a block device is mounted there`;
  if (GUEST_TYPES[entry.type] === undefined) return `the guest mounts no ${entry.type}`;
  const other = table.find((one) => one !== entry && one.major === entry.major && one.minor === entry.minor);
  if (other !== undefined) return `its device is mounted at ${other.mountPoint} too`;
  const below = table.find(({ mountPoint }) => mountPoint.startsWith(`${point}/`));
  return below === undefined ? entry : `something is mounted below it, at ${below.mountPoint}`;
}

/** What a mount is of, by what the kernel says of the device. */
export function snapshotOf(entry: MountEntry, read: SystemFiles): Snapshot {
  const name = /^DEVNAME=(.+)$/m.exec(read("uevent") ?? "")?.[1] ?? `block/${entry.major}:${entry.minor}`;
  const { major, minor, type, mountPoint: point } = entry;
  const isReadOnly = [entry.options, entry.superOptions].some((options) => options.split(",").includes("ro"));
  const loop = loopSource(read);
  return {
    device: join("/dev", name),
    major,
    minor,
    type: GUEST_TYPES[type] ?? "ext4",
    readOnly: isReadOnly,
    // The file system's own may be more than a later kernel takes: without them it is mounted too.
    mount: { point, type, options: [`${entry.options},${entry.superOptions}`, entry.options] },
    ...(loop ? { loop } : {}),
  };
}

export function systemFilesOf({ major, minor }: Pick<Snapshot, "major" | "minor">): SystemFiles {
  return (name) => readSystemFile(`/sys/dev/block/${major}:${minor}/${name}`);
}

/** What a loop device is of. The kernel marks a file that is not there any more, and cannot be found again. */
export function loopSource(read: SystemFiles): LoopSource | undefined {
  const file = read("loop/backing_file");
  if (file === undefined || !file.startsWith("/") || file.endsWith(" (deleted)")) return undefined;
  return { file, offset: Number(read("loop/offset") ?? 0), sizeLimit: Number(read("loop/sizelimit") ?? 0) };
}

/** Whether the node in `/dev` is that device. */
function isDevice({ device, major, minor }: Snapshot): boolean {
  const status = statusOf(device);
  return status?.isBlockDevice() === true && status.rdev === deviceNumber(major, minor);
}

/** As the C library has it (makedev(3)), for the numbers below 4,096 and 1,048,576 that Linux gives. */
export function deviceNumber(major: number, minor: number): number {
  return (minor & 0xff) + (major & 0xfff) * 0x100 + Math.floor(minor / 0x100) * 0x100000;
}

function statusOf(path: string): Stats | undefined {
  try {
    return statSync(path);
  } catch {
    return undefined;
  }
}

export function readSystemFile(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8").replace(/\n$/, "");
  } catch {
    return undefined;
  }
}
