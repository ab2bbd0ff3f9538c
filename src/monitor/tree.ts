import { createHash, randomBytes } from "node:crypto";
import { type BigIntStats, constants, lstatSync, readFileSync, statSync } from "node:fs";
import { chmod, copyFile, mkdir, readdir, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { UruncError } from "../errors.ts";
import { asIs, librariesOf, placeOf } from "./libraries.ts";
import { noteUse, removeOldTrees } from "./old-trees.ts";

/** A file that a tree depends on. */
interface Source {
  /** Where it is on the host. */
  path: string;
  /** Where its copy is, from `/usr` on. */
  place: string;
  /** Null for a file that is not there: the tree is out of date once it is. */
  identity: string | null;
}

/** What is known of a tree: `manifest.json` in it, and the entry by which it is found. */
interface Manifest {
  programs: readonly string[];
  key: string;
  sources: Source[];
  /** By which the loader finds libraries; no part of the tree. */
  loaderCache: string | null;
}

/** Loaded when needed: an emulator that is a module of its own. */
const MODULES = ["accel-tcg-x86_64.so"];
const MODULE_DIRECTORIES = ["lib/x86_64-linux-gnu/qemu", "lib64/qemu", "lib64/qemu-kvm", "lib/qemu"];

/**
 * What a microvm reads to enter an uncompressed kernel, and a PC to enter any; their devices have no option ROMs. The
 * last is of a PC's interrupt controller.
 */
const FIRMWARE = [
  ...["bios-microvm.bin", "qboot.rom", "pvh.bin"],
  ...["bios-256k.bin", "linuxboot_dma.bin", "multiboot_dma.bin", "kvmvapic.bin"],
];
const FIRMWARE_DIRECTORIES = ["share/qemu", "share/seabios", "share/qemu-kvm", "share/qemu-firmware"];

const LOADER_CACHE = "/etc/ld.so.cache";

/** Where firmware that the configuration names has its copies: QEMU is told to look there first. */
export const FIRMWARE_PLACE = "/usr/share/urunc-firmware";

/** Part of each entry's name: another version of this program that looks for other files has entries of its own. */
const LOOKED_FOR = [...MODULES, ...MODULE_DIRECTORIES, ...FIRMWARE, ...FIRMWARE_DIRECTORIES];

const TEMPORARY = ".temporary-";
const ABANDONED_AFTER_MS = 3_600_000;

/**
 * A directory whose `usr` holds what a monitor needs to run, and nothing else of the host: its program, the
 * libraries of that, its modules and firmware. Copies, so that an upgrade of the host does not change what is below
 * a running machine. The tree is kept and made anew when a file that it was made of changes.
 *
 * @param program absolute, below `/usr`
 * @param helpers further programs, the same
 * @param isQemu there are modules and firmware besides its libraries
 * @param firmware a directory of firmware, of which what is used is copied to `FIRMWARE_PLACE`
 * @throws UruncError `internal`; `monitor-missing` for a directory that has no firmware
 */
export async function ensureMonitorTree({
  program,
  helpers = [],
  isQemu = true,
  firmware,
  cacheRoot = "/var/lib/urunc/monitors",
}: {
  program: string;
  helpers?: readonly string[];
  isQemu?: boolean;
  firmware?: string | undefined;
  cacheRoot?: string;
}): Promise<string> {
  const programs = [program, ...helpers];
  const own = firmware === undefined ? [] : firmwareOf(firmware);
  const lookedFor = [...(isQemu ? LOOKED_FOR : []), ...own.map(({ path }) => path)];
  const entry = join(cacheRoot, `${sha256([...programs, "", ...lookedFor].join("\0"))}.json`);
  const known = readManifest(entry);
  if (known?.sources.every(isUnchanged) && known.loaderCache === identityOf(LOADER_CACHE)) {
    const tree = join(cacheRoot, known.key);
    noteUse(tree);
    if (isWhole(tree, known)) return tree;
  }
  try {
    return await makeTree({ programs, isQemu, firmware: own }, cacheRoot, entry);
  } catch (cause) {
    if (cause instanceof UruncError) throw cause;
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new UruncError("internal", `cannot copy ${programs.join(" and ")} to ${cacheRoot}: ${reason}`, {
      cause,
    });
  }
}

interface TreeContent {
  programs: readonly string[];
  isQemu: boolean;
  firmware: readonly Source[];
}

async function makeTree(
  { programs, isQemu, firmware }: TreeContent,
  cacheRoot: string,
  entry: string,
): Promise<string> {
  // Before it is used: what changes meanwhile is found to have.
  const loaderCache = identityOf(LOADER_CACHE);
  const sources = mergeSources([
    ...(await Promise.all(programs.map((path) => findSources(path, isQemu)))),
    firmware,
  ]);
  const manifest: Manifest = { programs, key: sha256(JSON.stringify(sources)), sources, loaderCache };
  const tree = join(cacheRoot, manifest.key);
  await mkdir(cacheRoot, { recursive: true, mode: 0o755 });
  noteUse(tree);
  await removeAbandoned(cacheRoot);
  if (!isWhole(tree, manifest)) {
    const building = temporaryPath(cacheRoot);
    try {
      await copySources(building, manifest);
      await moveIntoPlace(building, tree, manifest);
    } finally {
      await rm(building, { recursive: true, force: true });
    }
  }
  const newEntry = temporaryPath(cacheRoot);
  await writeFile(newEntry, JSON.stringify(manifest), { mode: 0o644 });
  await rename(newEntry, entry);
  removeOldTrees(cacheRoot, () => temporaryPath(cacheRoot));
  return tree;
}

/** Others may be at the same: the first whole tree stays, since a machine may be starting from it. */
async function moveIntoPlace(building: string, tree: string, manifest: Manifest): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await rename(building, tree);
    } catch (error) {
      if (isWhole(tree, manifest)) return;
      const code = (error as NodeJS.ErrnoException).code;
      if ((code !== "ENOTEMPTY" && code !== "EEXIST" && code !== "ENOTDIR") || attempt === 5) throw error;
    }
    const damaged = temporaryPath(dirname(tree));
    await rename(tree, damaged).catch(() => {});
    await rm(damaged, { recursive: true, force: true });
  }
}

async function copySources(directory: string, manifest: Manifest): Promise<void> {
  const present = manifest.sources.filter((source) => source.identity !== null);
  const directories = new Set([directory]);
  for (const { place } of present) {
    for (let path = dirname(place); path !== "/"; path = dirname(path)) {
      directories.add(join(directory, path));
    }
  }
  // Sorted, parents come first; modes are set apart from the caller's umask.
  for (const path of [...directories].sort()) {
    await mkdir(path);
    await chmod(path, 0o755);
  }
  await Promise.all(
    present.map(async ({ path, place }) => {
      const copy = join(directory, place);
      await copyFile(path, copy, constants.COPYFILE_FICLONE);
      await chmod(copy, (await stat(path)).mode & 0o111 ? 0o755 : 0o644);
      // The mark of a copy that is finished and that nobody has written to since.
      await utimes(copy, 0, 0);
    }),
  );
  await writeFile(join(directory, "manifest.json"), JSON.stringify(manifest, undefined, 2));
  await chmod(join(directory, "manifest.json"), 0o644);
}

function isWhole(tree: string, manifest: Manifest): boolean {
  return manifest.sources.every(({ place, identity }) => {
    if (identity === null) return true;
    const copy = lstatSync(join(tree, place), { throwIfNoEntry: false });
    return copy?.isFile() === true && copy.mtimeMs === 0 && String(copy.size) === identity.split(":")[2];
  });
}

function isUnchanged({ path, identity }: Source): boolean {
  return identityOf(path) === identity;
}

function identityOf(path: string): string | null {
  let status: BigIntStats | undefined;
  try {
    status = statSync(path, { bigint: true, throwIfNoEntry: false });
  } catch {
    return null;
  }
  if (status === undefined || !status.isFile()) return null;
  return [status.dev, status.ino, status.size, status.mtimeNs].join(":");
}

function readManifest(path: string): Manifest | undefined {
  try {
    const manifest = JSON.parse(readFileSync(path, "utf8")) as Partial<Manifest> | null;
    return Array.isArray(manifest?.sources) ? (manifest as Manifest) : undefined;
  } catch {
    return undefined;
  }
}

/** A library that several programs need is there once. */
function mergeSources(each: readonly (readonly Source[])[]): Source[] {
  const byPlace = new Map(each.flat().map((source) => [source.place, source]));
  return [...byPlace.values()].sort((a, b) => (a.place < b.place ? -1 : 1));
}

/** Everything that is copied, and the places of optional files that are not there. */
async function findSources(program: string, isQemu: boolean): Promise<Source[]> {
  if (!placeOf(program).startsWith("/usr/")) {
    throw new UruncError("internal", `${program} is not below /usr, where the sandbox has its programs`);
  }
  const prefix = join(dirname(placeOf(program)), "..");
  const modules = isQemu ? below(prefix, MODULE_DIRECTORIES, MODULES) : [];
  const firmware = isQemu ? below(prefix, FIRMWARE_DIRECTORIES, FIRMWARE) : [];
  const programs = [program, ...modules.filter((path) => identityOf(path) !== null)];
  // By their places, so that a library that several need is there once.
  const paths = new Map([...programs, ...modules, ...firmware].map(asIs));
  for (const [place, library] of await librariesOf(programs)) paths.set(place, library);
  return [...paths]
    .map(([place, path]) => ({ path, place, identity: identityOf(path) }))
    .sort((a, b) => (a.place < b.place ? -1 : 1));
}

function firmwareOf(directory: string): Source[] {
  const sources = FIRMWARE.map((name) => {
    const path = join(directory, name);
    return { path, place: join(FIRMWARE_PLACE, name), identity: identityOf(path) };
  });
  if (sources.some(({ identity }) => identity !== null)) return sources;
  throw new UruncError(
    "monitor-missing",
    `the directory ${directory} (monitors.qemu.data_path) has no firmware of QEMU's: neither ${FIRMWARE.join(" nor ")}`,
  );
}

function below(prefix: string, directories: readonly string[], names: readonly string[]): string[] {
  return directories.flatMap((directory) => names.map((name) => join(prefix, directory, name)));
}

/** What killed processes have left. Not younger: another process may be at it. */
async function removeAbandoned(cacheRoot: string): Promise<void> {
  for (const name of await readdir(cacheRoot)) {
    if (!name.startsWith(TEMPORARY)) continue;
    const path = join(cacheRoot, name);
    const status = lstatSync(path, { throwIfNoEntry: false });
    if (status !== undefined && Date.now() - status.mtimeMs > ABANDONED_AFTER_MS) {
      await rm(path, { recursive: true, force: true });
    }
  }
}

function temporaryPath(cacheRoot: string): string {
  return join(cacheRoot, TEMPORARY + randomBytes(8).toString("hex"));
}

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
