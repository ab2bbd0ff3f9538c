import { createHash } from "node:crypto";
import { wrongAt } from "../../bunnyfile/position.ts";
import type { RunMount, RunStep } from "../../containerfile/plan.ts";
import { find, insideRoot, makeDirectory } from "../../image/layers/lookup.ts";
import {
  type ByteString,
  bytesOf,
  type Directory,
  type Inode,
  withOwnDirectories,
} from "../../image/layers/tree.ts";
import { addMountPoint } from "../../machines/mount-point.ts";
import type { TreeEntry } from "../entry.ts";
import { copyTree } from "./copy-tree.ts";
import type { Origin } from "./origin.ts";
import type { StageFiles } from "./stage-files.ts";

type BindMount = Extract<RunMount, { kind: "bind" }>;

/** What a bind of a RUN shows. */
export interface Bind {
  target: string;
  isReadOnly: boolean;
  inode: Inode;
  origin: Origin;
  /** What tells it from others. */
  key: string[];
}

export interface BindOptions {
  /** Of the build file, for sentences. */
  name: string;
  origin(mount: BindMount): Promise<Origin>;
}

/**
 * Finds what the binds of a RUN show.
 *
 * @throws UruncError `build-file` for a source that is not there
 */
export async function findBinds(step: RunStep, options: BindOptions): Promise<Bind[]> {
  const binds: Bind[] = [];
  for (const mount of step.mounts) {
    if (mount.kind !== "bind") continue;
    const { target, source, isReadOnly } = mount;
    const origin = await options.origin(mount);
    const inode = find(await origin.tree(), insideRoot(bytesOf(source)));
    if (inode === undefined)
      throw wrongAt(options.name, step.at, `there is no ${source} in ${origin.called}`);
    const key = await origin.key(async () => [inode], [source]);
    binds.push({ target, isReadOnly, inode, origin, key });
  }
  return binds;
}

/** The directory of a target, made if need be, and the target's name in it. */
function placeOf(root: Directory, target: string): { parent: Directory; name: ByteString; path: ByteString } {
  const words = insideRoot(bytesOf(target));
  const name = words.pop() ?? "";
  const { directory, way } = makeDirectory(root, words, bytesOf(target));
  return { parent: directory, name, path: [...way.map((step) => step.name), name].join("/") };
}

/** What tells a root with the mounts of a RUN from others. */
export function keyOfMounts(step: RunStep, binds: readonly Bind[]): string {
  const points = step.mounts.map(({ kind, target }) => [kind, target]);
  const shown = binds.map(({ target, key }) => [target, ...key]);
  return `mounts ${createHash("sha256")
    .update(JSON.stringify([points, shown]))
    .digest("hex")}`;
}

/** Puts into a tree what binds show, and places for the other mounts. */
export function addMounts(tree: Directory, step: RunStep, binds: readonly Bind[]): void {
  for (const { target, inode, origin } of binds) {
    const { parent, name } = placeOf(tree, target);
    const copy = copyTree(inode, (original) => {
      if (original.kind === "directory") return { ...original, children: new Map() };
      return original.kind === "file" ? { ...original, content: origin.content(original) } : { ...original };
    });
    parent.children.set(name, copy);
  }
  for (const { kind, target } of step.mounts) {
    if (kind !== "bind") addMountPoint(tree, { path: target, kind: "directory" });
  }
}

/** What of a RUN's changes is not in what binds showed. */
export async function withoutBinds(
  entries: TreeEntry[],
  binds: readonly Bind[],
  files: StageFiles,
): Promise<TreeEntry[]> {
  if (binds.length === 0) return entries;
  const root = withOwnDirectories(await files.tree());
  const paths = binds.map(({ target }) => placeOf(root, target).path);
  return entries.filter(({ path }) =>
    paths.every((shown) => path !== shown && !path.startsWith(`${shown}/`)),
  );
}
