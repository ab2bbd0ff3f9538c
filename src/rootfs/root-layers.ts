import { type BigIntStats, readdirSync, realpathSync, statSync } from "node:fs";
import { basename, dirname, isAbsolute, join } from "node:path";
import { UruncError } from "../errors.ts";
import type { OverlayPrefix } from "../image/layers/overlay.ts";
import { type MountEntry, mountedAt, ownMountTable } from "./mount-table.ts";
import { overlayDirectories } from "./overlay-mount.ts";

/** What a container's root file system is made of; directories are absolute, without links, the lowest first. */
export type RootLayers =
  /** One directory: nothing of it is known to be another container's, too. */
  | { readonly kind: "directory"; readonly why: string }
  | {
      readonly kind: "layers";
      /** The image's, which nobody writes to. */
      readonly image: readonly string[];
      /** What tells these from any other directories, at any time. */
      readonly identity: string;
      /** The container's own. */
      readonly own: readonly string[];
      /** The one of them that is written to, where one is. */
      readonly upper?: string;
      readonly prefix: OverlayPrefix;
    };

/**
 * Looks what a root file system is made of, by the mount that it is.
 *
 * Only layers that an image store keeps are taken for an image's: it never writes to one that is below another. Each is
 * known by its place, device and inode, and the times at which it was made and changed, so that a store that gives a name
 * once more gives another layer.
 *
 * @param rootfs absolute
 * @throws UruncError `not-supported`: other file systems are mounted in it, which would be missing in an image of it
 */
export function findRootLayers(rootfs: string): RootLayers {
  const place = realpathSync(rootfs);
  const table = ownMountTable();
  refuseMountsBelow(table, place);
  const mount = mountedAt(table, place);
  if (mount?.type !== "overlay" || mount.root !== "/") return alone("it is no overlay");
  const named = overlayDirectories(mount.superOptions);
  if (named === undefined) return alone("it is an overlay with layers of data");
  const found = resolved(
    [...named.lower, ...(named.upper === undefined ? [] : [named.upper])],
    [
      ...(named.upper !== undefined && isAbsolute(named.upper) ? [dirname(dirname(named.upper))] : []),
      dirname(dirname(place)),
    ],
  );
  if (found === undefined) return alone("its layers are not found");
  const upper = named.upper === undefined ? undefined : found.pop();
  const lower = found.reverse();
  const own = isEnginesOwn(lower) ? [lower.pop() as string] : [];
  const strange = lower.find((directory) => !isOfStore(directory));
  if (strange !== undefined) return alone(`its layer ${strange} is no image store's`);
  return {
    kind: "layers",
    image: lower,
    identity: JSON.stringify([named.prefix, ...lower.map(identityOf)]),
    own: [...own, ...(upper === undefined ? [] : [upper])],
    ...(upper === undefined ? {} : { upper }),
    prefix: named.prefix,
  };
}

function alone(why: string): RootLayers {
  return { kind: "directory", why };
}

function refuseMountsBelow(table: readonly MountEntry[], place: string): void {
  const inside = table.find(({ mountPoint }) => mountPoint.startsWith(`${place === "/" ? "" : place}/`));
  if (inside === undefined) return;
  throw new UruncError(
    "not-supported",
    `the root file system ${place} has another mounted in it at ${inside.mountPoint}, which an image of it would lack: ` +
      'unmount that, or set rootfs.way to "share"',
  );
}

/**
 * The directories themselves. Engines name them from where they are when they mount, to keep the options short.
 *
 * @param from where that may have been
 */
function resolved(directories: readonly string[], from: readonly string[]): string[] | undefined {
  for (const base of from) {
    try {
      const paths = directories.map((path) => realpathSync(isAbsolute(path) ? path : join(base, path)));
      if (paths.every((path) => statSync(path).isDirectory())) return paths;
    } catch (error) {
      if (!["ENOENT", "ENOTDIR"].includes((error as NodeJS.ErrnoException).code ?? "")) throw error;
    }
  }
  return undefined;
}

/** Docker's overlay2 and containers/storage have a file beside each layer, containerd's snapshotters one for all. */
function isOfStore(directory: string): boolean {
  const parent = dirname(directory);
  if (basename(directory) === "diff") return isFile(join(parent, "link"));
  return (
    basename(directory) === "fs" &&
    /^\d+$/.test(basename(parent)) &&
    isFile(join(dirname(dirname(parent)), "metadata.db"))
  );
}

/** Places of Docker's that it makes for each container: below the ones that are written to. */
const ENGINES_NAMES = new Set([".dockerenv", "dev", "etc", "proc", "sys"]);

/** Whether the topmost layer is not the image's, but one that the engine has made for the container. */
function isEnginesOwn(lower: readonly string[]): boolean {
  if (lower.length < 2) return false;
  const names = readdirSync(lower.at(-1) as string);
  return names.includes(".dockerenv") && names.every((name) => ENGINES_NAMES.has(name));
}

function identityOf(path: string): string[] {
  const { dev, ino, ctimeNs, birthtimeNs }: BigIntStats = statSync(path, { bigint: true });
  return [path, ...[dev, ino, ctimeNs, birthtimeNs].map(String)];
}

function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() === true;
}
