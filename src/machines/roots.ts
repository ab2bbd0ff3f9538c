import { createHash } from "node:crypto";
import {
  closeSync,
  existsSync,
  fstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { type Accounts, accountsOf } from "../image/accounts.ts";
import { writeErofs } from "../image/filesystem/erofs.ts";
import { writeExt4 } from "../image/filesystem/ext4.ts";
import { ContentStore } from "../image/layers/content.ts";
import { treeOfLayers } from "../image/layers/layers.ts";
import { type Directory, withOwnDirectories } from "../image/layers/tree.ts";
import type { Descriptor } from "../image/spec/manifest.ts";
import { tryLock, waitForLock } from "../image/store/flock.ts";
import { bringsRoot } from "../rootfs/wish.ts";
import { bringOut } from "./brought.ts";
import { bootsDirect } from "./direct-boot.ts";
import { addMountPoint } from "./mount-point.ts";
import { MOUNT_POINTS } from "./spec.ts";

/** A part of a key: a root that is made in another way is another one. */
const FORM = "erofs 2";
const IMAGE = "root.erofs";
/** For a kernel without the agent: what it writes to a copy of. */
const DISK = "root.ext4";
const BROUGHT = "brought";
const ACCOUNTS = "accounts.json";

/** Bytes on the disk that roots may take; those that were not used for longest go. */
const CACHE_MOST = 20 * 2 ** 30;

/** Milliseconds. */
const RETRY_MOST = 20;

/** An image as a file system, which stays until it is released. */
export interface Root {
  /**
   * An EROFS file system, or an ext4 one where the image's kernel boots without the agent. It is not there where the image
   * brings a root of its own.
   */
  path: string;
  /** A directory of what the image brings, where that was asked for and is something. */
  brought?: string;
  accounts: Accounts;
  /** It was made by this call. */
  made: boolean;
  release(): void;
}

/** Files that were put together: their names and metadata, and where their bytes are. */
export interface Unpacked {
  tree: Directory;
  store: ContentStore;
  /** Lets the bytes go. */
  close(): void;
}

/** What a root is made of. */
export interface RootParts {
  layers: readonly Descriptor[];
  /** Puts the layers together, if the root has to be made. */
  unpack(): Promise<Unpacked>;
  /** What the root has besides, and what tells it from others. */
  more?: { key: string; add(tree: Directory): Promise<void> | void };
  /** What the image says by its annotations (`bootAnnotations`), where what it brings is to be brought out of it. */
  annotations?: Readonly<Record<string, string>>;
}

/** Layers of a store, put together as they are asked for. */
export function layersOfStore(
  directory: string,
  layers: readonly Descriptor[],
  open: (layer: Descriptor) => AsyncIterable<Uint8Array>,
): RootParts {
  return {
    layers,
    async unpack() {
      const store = new ContentStore(directory);
      try {
        return { tree: await treeOfLayers(layers.map(open), store), store, close: () => store.close() };
      } catch (error) {
        store.close();
        throw error;
      }
    },
  };
}

/**
 * The root file system of an image's layers, made where it is not there yet: once, however many ask at the same time.
 * What a machine mounts has its place in it, so that no machine changes the root for that.
 *
 * Its key are the layers' digests as the store has verified them; what an image says of their content without compression
 * would let it take the place of another.
 *
 * @param directory of all roots
 * @throws UruncError what the layers' reader and the writer throw; nothing of the root is kept then
 */
export async function openRoot(directory: string, parts: RootParts, most = CACHE_MOST): Promise<Root> {
  const words = [FORM, ...parts.layers.map(({ digest }) => digest), ...(parts.more ? [parts.more.key] : [])];
  if (parts.annotations !== undefined) words.push(annotationsKey(parts.annotations));
  const key = createHash("sha256").update(words.join("\n")).digest("hex");
  const path = join(directory, key);
  let made = false;
  for (;;) {
    const lock = await lockRoot(path);
    const found = lookAt(path, lock, made);
    if (found !== undefined) return found;
    closeSync(lock);
    const alone = await tryLockAlone(path);
    // Another is making it, or looks whether it is there.
    if (alone === undefined) continue;
    try {
      if (isWhole(path)) continue;
      await make(path, parts);
      made = true;
      evict(directory, key, most);
    } finally {
      closeSync(alone);
    }
  }
}

/** A root that is there, by its directory; undefined where it is not, or somebody else is making or removing it. */
export async function findRoot(path: string): Promise<Root | undefined> {
  const lock = openDirectory(path);
  if (lock === undefined) return undefined;
  await waitForLock(lock, "shared");
  const found = isStill(path, lock) ? lookAt(path, lock, false) : undefined;
  if (found === undefined) closeSync(lock);
  return found;
}

/** Of the same layers an image that says something else brings something else. */
function annotationsKey(annotations: Readonly<Record<string, string>>): string {
  return `brings ${JSON.stringify(Object.entries(annotations).sort(([a], [b]) => (a < b ? -1 : 1)))}`;
}

/** The lock of those who use a root, whose directory is made; waits as long as somebody makes the root. */
async function lockRoot(path: string): Promise<number> {
  for (;;) {
    mkdirSync(path, { recursive: true, mode: 0o700 });
    const lock = openDirectory(path);
    if (lock === undefined) continue;
    await waitForLock(lock, "shared");
    if (isStill(path, lock)) return lock;
    closeSync(lock);
  }
}

/** The lock of who makes a root; undefined where others hold one: to wait for it would be to wait for their machines. */
async function tryLockAlone(path: string): Promise<number | undefined> {
  const lock = openDirectory(path);
  if (lock === undefined) return undefined;
  if (tryLock(lock, "exclusive") && isStill(path, lock)) return lock;
  closeSync(lock);
  // Several who look at the same time would see each other again and again.
  await Bun.sleep(Math.random() * RETRY_MOST);
  return undefined;
}

/** It may have been removed meanwhile, and another be in its place. */
function isStill(path: string, directory: number): boolean {
  return statSync(path, { throwIfNoEntry: false })?.ino === fstatSync(directory).ino;
}

function openDirectory(path: string): number | undefined {
  try {
    return openSync(path, "r");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

function isWhole(path: string): boolean {
  return statSync(join(path, ACCOUNTS), { throwIfNoEntry: false }) !== undefined;
}

function lookAt(path: string, lock: number, made: boolean): Root | undefined {
  if (!isWhole(path)) return undefined;
  const accounts = JSON.parse(readFileSync(join(path, ACCOUNTS), "utf8")) as Accounts;
  // When it was used last.
  const now = new Date();
  utimesSync(join(path, ACCOUNTS), now, now);
  const brought = join(path, BROUGHT);
  return {
    path: existsSync(join(path, DISK)) ? join(path, DISK) : join(path, IMAGE),
    ...(existsSync(brought) ? { brought } : {}),
    accounts,
    made,
    release: () => closeSync(lock),
  };
}

async function make(path: string, { unpack, more, annotations }: RootParts): Promise<void> {
  const [image, disk, brought] = [join(path, IMAGE), join(path, DISK), join(path, BROUGHT)];
  const { tree: files, store, close } = await unpack();
  try {
    // Whoever unpacked them may go on with them.
    const tree = withOwnDirectories(files);
    await more?.add(tree);
    for (const point of MOUNT_POINTS) addMountPoint(tree, point);
    const wish = annotations && bringOut(files, store, annotations, brought);
    const isDirect = wish !== undefined && bootsDirect(wish, brought);
    if (wish === undefined || !bringsRoot(wish)) {
      if (isDirect) writeExt4(tree, store, disk, { durable: true });
      else writeErofs(tree, store, image, { durable: true });
    }
    const accounts = accountsOf(files, store);
    // Last: its presence says that all is there.
    writeFileSync(join(path, `.${ACCOUNTS}`), JSON.stringify(accounts), { mode: 0o600 });
    renameSync(join(path, `.${ACCOUNTS}`), join(path, ACCOUNTS));
  } catch (error) {
    for (const made of [image, disk, brought]) rmSync(made, { recursive: true, force: true });
    throw error;
  } finally {
    close();
  }
}

/** Removes what was not used for longest, until the rest is below the bound. What is in use stays. */
function evict(directory: string, kept: string, most: number): void {
  const roots = readdirSync(directory)
    .filter((name) => /^[0-9a-f]{64}$/.test(name))
    .map((name) => ({ name, ...usageOf(join(directory, name)) }))
    .sort((a, b) => a.used - b.used);
  let total = roots.reduce((sum, { bytes }) => sum + bytes, 0);
  for (const { name, bytes } of roots) {
    if (total <= most) return;
    if (name === kept || !removeUnused(join(directory, name))) continue;
    total -= bytes;
  }
}

function usageOf(path: string): { bytes: number; used: number } {
  const accounts = statSync(join(path, ACCOUNTS), { throwIfNoEntry: false });
  const blocks = readdirSync(path, { recursive: true, withFileTypes: true }).map(
    ({ parentPath, name }) => statSync(join(parentPath, name), { throwIfNoEntry: false })?.blocks ?? 0,
  );
  return { bytes: blocks.reduce((sum, one) => sum + one, 0) * 512, used: accounts?.mtimeMs ?? 0 };
}

function removeUnused(path: string): boolean {
  const lock = openDirectory(path);
  if (lock === undefined) return true;
  try {
    if (!tryLock(lock, "exclusive")) return false;
    rmSync(path, { recursive: true, force: true });
    return true;
  } finally {
    closeSync(lock);
  }
}
