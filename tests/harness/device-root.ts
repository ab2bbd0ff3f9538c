import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { parseMountTable } from "../../src/rootfs/mount-table.ts";
import { command, succeed, until } from "./command.ts";

/** A root that is a file system of its own, as snapshotters make them. */
export interface DeviceRoot {
  /** Where it is mounted. */
  readonly place: string;
  /** The file that it is in. */
  readonly image: string;
}

/** Makes an ext4 file system of a directory. */
export async function makeFileSystem(image: string, directory: string, type = "ext4"): Promise<void> {
  writeFileSync(image, "");
  truncateSync(image, 64 * 2 ** 20);
  await succeed([`mkfs.${type}`, "-q", "-d", directory, image]);
}

/** Mounts a copy of an image over an empty directory, by a loop device that ends with it. */
export async function mountCopy(
  template: string,
  place: string,
  options: readonly string[] = [],
): Promise<DeviceRoot> {
  const image = `${place}.image`;
  copyFileSync(template, image);
  rmSync(place, { recursive: true, force: true });
  mkdirSync(place);
  await succeed(["mount", "-o", ["loop", ...options].join(","), image, place]);
  return { place, image };
}

/** The devices that are mounted at a place, `MAJOR:MINOR`. */
export function devicesAt(place: string): string[] {
  return parseMountTable(readFileSync("/proc/self/mountinfo", "utf8"))
    .filter(({ mountPoint }) => mountPoint === place)
    .map(({ major, minor }) => `${major}:${minor}`);
}

/** The loop devices of a file. */
export async function loopDevices(image: string): Promise<string[]> {
  const lines = await succeed(["losetup", "--noheadings", "--output", "NAME", "--associated", image]);
  return lines.split("\n").filter((line) => line !== "");
}

/** Unmounts a root, and has its file system checked: it must be clean. */
export async function unmountClean({ place, image }: DeviceRoot): Promise<void> {
  await succeed(["umount", place]);
  // A sandbox that is being made elsewhere on this machine has a copy of the mount for a moment.
  await until(`nobody has ${image} mounted`, async () => (await loopDevices(image)).length === 0);
  const { exitCode, stdout } = await command(["e2fsck", "-fn", image]);
  if (exitCode !== 0) throw new Error(`${image} is not clean:\n${stdout}`);
  const state = await succeed(["dumpe2fs", "-h", image]);
  if (!/Filesystem state: +clean\n/.test(state) || state.includes("needs_recovery"))
    throw new Error(`${image} was not unmounted:\n${state}`);
}

/** Whether this machine's kernel maps devices. */
export const hasDeviceMapper: boolean = existsSync("/dev/mapper/control") && existsSync("/usr/sbin/dmsetup");
