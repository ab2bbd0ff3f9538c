import { lstatSync, readdirSync, readFileSync, renameSync, rmSync, statSync, utimesSync } from "node:fs";
import { join } from "node:path";

/** How exact the time of a tree's last use is: each `create` looks at it, few need to write it. Milliseconds. */
const USE_IS_NOTED_EACH_MS = 3_600_000;
/** A tree that no `create` has used for so long is removed, unless a sandbox has it. */
const KEPT_UNUSED_MS = 24 * 3_600_000;

/** The names of trees: hashes. */
const KEY = /^[0-9a-f]{64}$/;

/** Notes that a tree is about to be used, before it is looked at: whoever removes old ones leaves it alone then. */
export function noteUse(tree: string): void {
  const now = Date.now();
  try {
    if (now - statSync(tree).mtimeMs > USE_IS_NOTED_EACH_MS) utimesSync(tree, now / 1000, now / 1000);
  } catch {
    // It is not there, which who looks at it will see, or it cannot be written to, nor removed then.
  }
}

/**
 * Removes the trees below `cacheRoot` that nothing has used for a day and that no sandbox has, and the entries that lead
 * to them: those of another QEMU, or that another version of urunc has made.
 *
 * @param temporary gives a path beside the trees that nothing else has
 */
export function removeOldTrees(cacheRoot: string, temporary: () => string): void {
  const names = readdirSync(cacheRoot);
  const old = names.filter((name) => KEY.test(name) && isOld(join(cacheRoot, name)));
  if (old.length === 0) return;
  const mounted = mountedRoots();
  for (const key of old.filter((key) => !mounted.includes(key))) {
    const [tree, aside] = [join(cacheRoot, key), temporary()];
    if (!moved(tree, aside)) continue;
    // A `create` may have come to it meanwhile.
    if (isOld(aside) || !moved(aside, tree)) rmSync(aside, { recursive: true, force: true });
  }
  removeEntries(cacheRoot, names);
}

function isOld(tree: string): boolean {
  const status = lstatSync(tree, { throwIfNoEntry: false });
  return status?.isDirectory() === true && Date.now() - status.mtimeMs > KEPT_UNUSED_MS;
}

/** False: another process was faster, to remove it or to make one in its place. */
function moved(from: string, to: string): boolean {
  try {
    renameSync(from, to);
    return true;
  } catch {
    return false;
  }
}

/** An entry whose tree is gone leads nowhere. Its name is the hash of what was looked for, and it says which tree. */
function removeEntries(cacheRoot: string, names: readonly string[]): void {
  for (const name of names.filter((one) => KEY.test(one.replace(/\.json$/, "")) && one.endsWith(".json"))) {
    const path = join(cacheRoot, name);
    const key = keyOf(path);
    if (key !== undefined && lstatSync(join(cacheRoot, key), { throwIfNoEntry: false }) === undefined) {
      rmSync(path, { force: true });
    }
  }
}

function keyOf(entry: string): string | undefined {
  try {
    const { key } = JSON.parse(readFileSync(entry, "utf8")) as { key?: unknown };
    return typeof key === "string" && KEY.test(key) ? key : undefined;
  } catch {
    return undefined;
  }
}

/** The mounts of all processes' namespaces, with the directories that they are of (proc(5), `mountinfo`), as one text. */
function mountedRoots(): string {
  const namespaces = new Set<string>();
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    try {
      const mounts = readFileSync(`/proc/${pid}/mountinfo`, "utf8");
      namespaces.add(mounts);
    } catch {
      // It has ended meanwhile, or is another user's, who cannot have a tree of this one's.
    }
  }
  return [...namespaces].join("\n");
}
