import { spawnSync } from "node:child_process";
import {
  closeSync,
  constants,
  existsSync,
  fstatSync,
  lstatSync,
  openSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join, resolve } from "node:path";
import { clientFiles } from "../container/direct.ts";
import type { ContainerDirectory, VmRecord } from "../container/directory.ts";
import { resolveMountPoint } from "../container/root-directory.ts";
import { UruncError } from "../errors.ts";
import { mountedAt, ownMountTable, parseMountTable } from "../rootfs/mount-table.ts";
import {
  deviceNumber,
  loopSource,
  readSystemFile,
  type Snapshot,
  systemFilesOf,
} from "../rootfs/snapshot.ts";
import { readClientFile } from "./append-initrd.ts";

/**
 * How long others may keep the device after it was unmounted, in milliseconds: a container that is being made has for a
 * moment a copy of each mount of the host's.
 */
const PATIENCE = 5000;
const INTERVAL = 20;

/**
 * Keeps a container's root device open, if its root is one: a loop device of mount(8)'s ends with its last user, and
 * between the host's mount and the monitor there is none else.
 *
 * @returns gives it back
 * @throws UruncError `state`: another device has its place
 */
export function holdRootDevice({ way: { snapshot } }: VmRecord): () => void {
  if (snapshot === undefined) return () => {};
  const file = openSync(snapshot.device, constants.O_RDONLY);
  if (fstatSync(file).rdev === deviceNumber(snapshot.major, snapshot.minor)) return () => closeSync(file);
  closeSync(file);
  throw new UruncError(
    "state",
    `${snapshot.device} is another device than at the container's creation: delete the container and create it again`,
  );
}

/**
 * Takes a container's root device from the host, if its root is one: nobody else has it then. What the container's
 * client has written to it by then is in it.
 *
 * @param unready a process in a mount namespace that has still all of the host's mounts, as a sandbox's that is being made
 * @throws UruncError `state`: it is not mounted as it was, or still used after it was unmounted; it is mounted then as it
 *   was
 */
export async function takeRootDevice(
  directory: ContainerDirectory,
  record: VmRecord,
  unready?: number,
): Promise<void> {
  const { snapshot, direct } = record.way;
  if (snapshot === undefined) return;
  const { point } = snapshot.mount;
  if (!isMounted(snapshot)) {
    throw new UruncError(
      "state",
      `the container's root ${snapshot.device} is not mounted at ${point} any more: delete the container and create it again`,
    );
  }
  if (direct && !snapshot.readOnly) writeClientFiles(record, point);
  const release = holdRootDevice(record);
  try {
    // Before it is done: whoever is killed meanwhile leaves it to be put back.
    writeFileSync(takenMark(directory), "", { mode: 0o600 });
    const deadline = performance.now() + PATIENCE;
    // It may have gone there with the host's; whether it is gone everywhere is asked below.
    if (unready !== undefined) run("nsenter", [`--mount=/proc/${unready}/ns/mnt`, "umount", point]);
    const wrong =
      (await untilDone(deadline, () => run("umount", [point]))) ??
      (await untilDone(deadline, () => whoUses(snapshot)));
    if (wrong === undefined) return;
    putRootDeviceBack(directory, record);
    throw new UruncError("state", `the container's root cannot be given to the machine: ${wrong}`);
  } finally {
    release();
  }
}

/**
 * Mounts a container's root device on the host again, where `takeRootDevice` has unmounted it: as the bundle was. May be
 * called any number of times.
 *
 * @throws UruncError `state`: it cannot be mounted
 */
export function putRootDeviceBack(directory: ContainerDirectory, { way: { snapshot } }: VmRecord): void {
  if (snapshot === undefined || !existsSync(takenMark(directory))) return;
  const { point } = snapshot.mount;
  // Whoever has removed the mount point, or mounted something there, does not want it back.
  const wrong = isDirectory(point) && !isAnythingAt(point) ? mountAgain(snapshot) : undefined;
  rmSync(takenMark(directory));
  if (wrong === undefined) return;
  throw new UruncError("state", `the container's root cannot be mounted again at ${point}: ${wrong}`);
}

function takenMark(directory: ContainerDirectory): string {
  return join(directory.path, "taken");
}

/** Files of the client's that no agent will bind into the root. */
function writeClientFiles({ spec, bundle }: VmRecord, root: string): void {
  for (const { destination, source } of clientFiles(spec)) {
    const place = join(root, resolveMountPoint(root, destination, false));
    if (lstatSync(place).isFile()) writeFileSync(place, readClientFile(resolve(bundle, source)));
  }
}

/** Until nothing is wrong, or the time is over: what is wrong then. */
async function untilDone(deadline: number, attempt: () => string | undefined): Promise<string | undefined> {
  for (;;) {
    const wrong = attempt();
    if (wrong === undefined || performance.now() > deadline) return wrong;
    await Bun.sleep(INTERVAL);
  }
}

/** The kernel gives a device that is mounted anywhere to nobody alone. */
function whoUses({ device, major, minor }: Snapshot): string | undefined {
  try {
    closeSync(openSync(device, constants.O_RDONLY | constants.O_EXCL));
    return undefined;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EBUSY") return (error as Error).message;
  }
  const has = (pid: string) =>
    parseMountTable(readSystemFile(`/proc/${pid}/mountinfo`) ?? "").some(
      (entry) => entry.major === major && entry.minor === minor,
    );
  const pid = readdirSync("/proc").find((name) => /^\d+$/.test(name) && has(name));
  const where =
    pid === undefined ? "is in use" : `is still mounted where process ${pid} is (/proc/${pid}/mountinfo)`;
  return `${device} ${where}: end that, or start the container with rootfs.snapshot = "never"`;
}

function mountAgain(snapshot: Snapshot): string | undefined {
  const { type, options, point } = snapshot.mount;
  const { source, option } = sourceOf(snapshot);
  let wrong: string | undefined;
  for (const words of options) {
    wrong = run("mount", ["-t", type, "-o", [words, ...option].join(","), source, point]);
    if (wrong === undefined) return undefined;
  }
  return wrong;
}

/** A loop device may have ended with the machine, and may be of something else by now. */
function sourceOf(snapshot: Snapshot): { source: string; option: string[] } {
  const { device, loop } = snapshot;
  if (loop === undefined) return { source: device, option: [] };
  const now = loopSource(systemFilesOf(snapshot));
  if (now !== undefined && Bun.deepEquals(now, loop)) return { source: device, option: [] };
  const { file, offset, sizeLimit } = loop;
  return {
    source: file,
    option: ["loop", `offset=${offset}`, ...(sizeLimit > 0 ? [`sizelimit=${sizeLimit}`] : [])],
  };
}

function isMounted({ major, minor, mount: { point } }: Snapshot): boolean {
  const entry = mountedAt(ownMountTable(), point);
  return entry?.major === major && entry.minor === minor;
}

function isAnythingAt(point: string): boolean {
  return mountedAt(ownMountTable(), point) !== undefined;
}

function isDirectory(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}

/** What a program has to say where it fails. */
function run(program: string, words: readonly string[]): string | undefined {
  const { status, stderr, error } = spawnSync(program, words, { encoding: "utf8" });
  if (status === 0) return undefined;
  return error?.message ?? stderr.trim().split("\n").join(", ");
}
