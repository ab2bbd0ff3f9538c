import {
  closeSync,
  fstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  rmSync,
  statSync,
  utimesSync,
} from "node:fs";
import { join } from "node:path";
import { tryLock, waitForLock } from "./flock.ts";

/** Milliseconds. */
const RETRY_MOST = 20;
const KEY = /^[0-9a-f]{64}$/;

/** How the entries of a cache are made. */
export interface Recipe {
  /** A file of an entry, which is there once all of it is; when it was changed says when the entry was used last. */
  marker: string;
  /** Makes the entry in its directory, which is empty; the marker last. */
  make(path: string): Promise<void>;
  /** Bytes on the disk that all entries may take; those that were not used for longest go. */
  most: number;
  /** Whether an entry that nobody has open must stay nevertheless. */
  isKept?(path: string): boolean;
}

/** An entry that is there, and stays until it is released. */
export interface Entry {
  path: string;
  /** It was made by this call. */
  made: boolean;
  release(): void;
}

/**
 * An entry of a cache, made where it is not there yet: once, however many ask at the same time. What a process that was
 * killed has left of one is removed when the next is made.
 *
 * @param directory of the cache, where each entry is a directory
 * @param key 64 hexadecimal digits
 * @throws what `make` throws; nothing of the entry is kept then
 */
export async function openMade(directory: string, key: string, recipe: Recipe): Promise<Entry> {
  const path = join(directory, key);
  let made = false;
  for (;;) {
    const lock = await lockShared(path);
    if (isWhole(path, recipe)) return use(path, lock, recipe, made);
    closeSync(lock);
    const alone = await tryLockAlone(path);
    // Another is making it, or looks whether it is there.
    if (alone === undefined) continue;
    try {
      if (isWhole(path, recipe)) continue;
      await makeIn(path, recipe);
      made = true;
      evict(directory, key, recipe);
    } finally {
      closeSync(alone);
    }
  }
}

/** An entry that is there; undefined where it is not, or somebody else is making or removing it. */
export async function findMade(path: string, recipe: Pick<Recipe, "marker">): Promise<Entry | undefined> {
  const lock = openDirectory(path);
  if (lock === undefined) return undefined;
  await waitForLock(lock, "shared");
  if (isStill(path, lock) && isWhole(path, recipe)) return use(path, lock, recipe, false);
  closeSync(lock);
  return undefined;
}

function use(path: string, lock: number, { marker }: Pick<Recipe, "marker">, made: boolean): Entry {
  const now = new Date();
  utimesSync(join(path, marker), now, now);
  return { path, made, release: () => closeSync(lock) };
}

async function makeIn(path: string, { make }: Recipe): Promise<void> {
  empty(path);
  try {
    await make(path);
  } catch (error) {
    empty(path);
    throw error;
  }
}

function empty(path: string): void {
  for (const name of readdirSync(path)) rmSync(join(path, name), { recursive: true, force: true });
}

/** The lock of those who use an entry, whose directory is made; waits as long as somebody makes the entry. */
async function lockShared(path: string): Promise<number> {
  for (;;) {
    mkdirSync(path, { recursive: true, mode: 0o700 });
    const lock = openDirectory(path);
    if (lock === undefined) continue;
    await waitForLock(lock, "shared");
    if (isStill(path, lock)) return lock;
    closeSync(lock);
  }
}

/** The lock of who makes an entry; undefined where others hold one: to wait for it would be to wait for their machines. */
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

function isWhole(path: string, { marker }: Pick<Recipe, "marker">): boolean {
  return statSync(join(path, marker), { throwIfNoEntry: false }) !== undefined;
}

/** Removes what is not whole, and what was not used for longest until the rest is below the bound; not what is in use. */
function evict(directory: string, made: string, recipe: Recipe): void {
  const entries = readdirSync(directory)
    .filter((name) => KEY.test(name))
    .map((name) => ({ name, ...usageOf(join(directory, name), recipe) }))
    .sort((a, b) => a.used - b.used);
  let total = entries.reduce((sum, { bytes }) => sum + bytes, 0);
  for (const { name, bytes, used } of entries) {
    if (total <= recipe.most && used > 0) return;
    if (name === made || !removeUnused(join(directory, name), recipe)) continue;
    total -= bytes;
  }
}

/** Bytes, and milliseconds since 1970; 0: it was never whole. */
function usageOf(path: string, { marker }: Recipe): { bytes: number; used: number } {
  const used = statSync(join(path, marker), { throwIfNoEntry: false })?.mtimeMs ?? 0;
  const blocks = filesIn(path).map((file) => statSync(file, { throwIfNoEntry: false })?.blocks ?? 0);
  return { bytes: blocks.reduce((sum, one) => sum + one, 0) * 512, used };
}

function filesIn(path: string): string[] {
  try {
    return readdirSync(path, { recursive: true, encoding: "utf8" }).map((name) => join(path, name));
  } catch (error) {
    // Another has removed it meanwhile.
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}

function removeUnused(path: string, { isKept }: Recipe): boolean {
  const lock = openDirectory(path);
  if (lock === undefined) return true;
  try {
    if (!tryLock(lock, "exclusive") || isKept?.(path)) return false;
    rmSync(path, { recursive: true, force: true });
    return true;
  } finally {
    closeSync(lock);
  }
}
