import { createHash } from "node:crypto";
import { chmodSync, chownSync, closeSync, mkdirSync, openSync, statSync } from "node:fs";
import { join } from "node:path";
import { cacheDirectory } from "../../config/own-directories.ts";
import type { RunMount, RunStep } from "../../containerfile/plan.ts";
import { UruncError } from "../../errors.ts";
import { tryLock, waitForLock } from "../../image/store/flock.ts";
import type { Volume } from "../../machines/request.ts";

type CacheMount = Extract<RunMount, { kind: "cache" }>;

/** Directories of the host that stay from build to build, as long as they are held. */
export interface Caches {
  volumes: Volume[];
  release(): void;
}

/**
 * Opens the directories of a RUN's `--mount=type=cache`, made where they are not there.
 *
 * @throws UruncError `not-supported` for one that is to begin with files, or that another user cannot make so
 */
export async function openCaches(step: RunStep): Promise<Caches> {
  // A cache that a RUN has twice is one: its lock is held already.
  const opened = new Map<string, { path: string; lock: number }>();
  const release = () => {
    for (const { lock } of opened.values()) closeSync(lock);
  };
  const volumes: Volume[] = [];
  try {
    for (const mount of step.mounts) {
      if (mount.kind !== "cache") continue;
      const cache = opened.get(mount.id) ?? (await openCache(mount));
      opened.set(mount.id, cache);
      volumes.push({ source: cache.path, destination: mount.target, readOnly: mount.isReadOnly });
    }
  } catch (error) {
    release();
    throw error;
  }
  return { volumes, release };
}

async function openCache(mount: CacheMount): Promise<{ path: string; lock: number }> {
  if (mount.from !== undefined) {
    throw new UruncError(
      "not-supported",
      `the cache at ${mount.target} is to begin with files of another stage or image: copy them in the RUN, from a ` +
        "bind, if the cache is empty",
    );
  }
  const name = createHash("sha256").update(mount.id).digest("hex");
  for (let number = 0; ; number++) {
    const path = join(cacheDirectory("bunny"), "mounts", number === 0 ? name : `${name}-${number}`);
    makeCache(path, mount);
    const lock = openSync(path, "r");
    if (mount.sharing === "shared") await waitForLock(lock, "shared");
    else if (mount.sharing === "locked") await waitForLock(lock, "exclusive");
    else if (!tryLock(lock, "exclusive")) {
      // Of one that somebody has, there is another.
      closeSync(lock);
      continue;
    }
    return { path, lock };
  }
}

function makeCache(path: string, { target, mode, uid, gid }: CacheMount): void {
  if (statSync(path, { throwIfNoEntry: false }) !== undefined) return;
  const isRoot = process.geteuid?.() === 0;
  if (!isRoot && (uid !== 0 || gid !== 0)) {
    throw new UruncError(
      "not-supported",
      `the cache at ${target} is to belong to ${uid}:${gid}, which only root can make so: leave out uid and gid, and ` +
        "give it the mode 0777",
    );
  }
  mkdirSync(path, { recursive: true, mode: 0o700 });
  if (isRoot) chownSync(path, uid, gid);
  chmodSync(path, mode);
}
