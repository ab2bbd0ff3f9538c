import { randomUUID } from "node:crypto";
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { lockDirectory, tryLock } from "../image/store/flock.ts";

/** In a container's directory: the path of its state directory, with which it goes. */
const OWNER = "owner";

/** The images of one container: a directory that goes with it. */
export interface ContainerImages {
  readonly path: string;
  /** The state directory is there: from now on the images stay as long as that. Either this or `remove` is called. */
  settle(): void;
  /** There will be no such container. */
  remove(): void;
}

/**
 * Makes the directory for a container's images, and removes those whose containers are gone: a runtime that was killed, or
 * a host that went down, could not.
 *
 * @param directory of all containers' images
 * @param owner the container's state directory, which need not be there until `settle`
 */
export async function makeContainerImages(directory: string, owner: string): Promise<ContainerImages> {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  // Between the two steps of another it would look like one that was left.
  const all = await lockDirectory(directory, "exclusive");
  try {
    for (const name of readdirSync(directory)) removeLeft(join(directory, name));
    const path = join(directory, randomUUID());
    mkdirSync(path, { mode: 0o700 });
    const lock = openSync(path, "r");
    tryLock(lock, "shared");
    writeFileSync(join(path, OWNER), owner, { mode: 0o600 });
    return {
      path,
      settle: () => closeSync(lock),
      remove() {
        rmSync(path, { recursive: true, force: true });
        closeSync(lock);
      },
    };
  } finally {
    all.release();
  }
}

function removeLeft(path: string): void {
  const lock = unlessMissing(() => openSync(path, "r"));
  if (lock === undefined) return;
  try {
    if (!tryLock(lock, "exclusive")) return;
    const owner = unlessMissing(() => readFileSync(join(path, OWNER), "utf8"));
    if (owner === undefined || !existsSync(owner)) rmSync(path, { recursive: true, force: true });
  } finally {
    closeSync(lock);
  }
}

/** Undefined: it has gone, with its container. */
function unlessMissing<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}
