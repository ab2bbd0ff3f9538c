import { dlopen } from "bun:ffi";
import { closeSync, openSync } from "node:fs";
import { UruncError } from "../../errors.ts";

const SHARED = 1;
const EXCLUSIVE = 2;
const WITHOUT_WAITING = 4;

/** Milliseconds between two looks at a lock that another holds. */
const INTERVAL = 50;

/** A lock that is held. It goes with the process, however that ends. */
export interface Lock {
  release(): void;
}

export type LockKind = "shared" | "exclusive";

let flock: ((descriptor: number, operation: number) => number) | undefined;

/** Takes the lock of an open file (flock(2)) if nobody holds it against us. The file's close frees it. */
export function tryLock(descriptor: number, kind: LockKind): boolean {
  flock ??= dlopen("libc.so.6", { flock: { args: ["i32", "i32"], returns: "i32" } }).symbols.flock;
  return flock(descriptor, (kind === "shared" ? SHARED : EXCLUSIVE) | WITHOUT_WAITING) === 0;
}

/** Takes the lock of an open file, whenever it becomes free. */
export async function waitForLock(descriptor: number, kind: LockKind): Promise<void> {
  while (!tryLock(descriptor, kind)) await Bun.sleep(INTERVAL);
}

/**
 * Takes the lock of a directory, which needs no file of its own for that.
 *
 * @param wait false: undefined at once where another holds it
 * @throws UruncError `store` if there is no such directory or it cannot be opened
 */
export async function lockDirectory(path: string, kind: LockKind): Promise<Lock>;
export async function lockDirectory(path: string, kind: LockKind, wait: boolean): Promise<Lock | undefined>;
export async function lockDirectory(path: string, kind: LockKind, wait = true): Promise<Lock | undefined> {
  let descriptor: number;
  try {
    descriptor = openSync(path, "r");
  } catch (cause) {
    throw new UruncError("store", `cannot open ${path}: ${(cause as Error).message}`, { cause });
  }
  if (wait) await waitForLock(descriptor, kind);
  else if (!tryLock(descriptor, kind)) {
    closeSync(descriptor);
    return undefined;
  }
  return { release: () => closeSync(descriptor) };
}
