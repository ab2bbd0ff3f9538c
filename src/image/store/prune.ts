import { readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { type Descriptor, type Index, type Manifest, parseManifest } from "../spec/manifest.ts";
import { manifestKind } from "../spec/media-type.ts";
import { type Layout, REFERENCE_NAME } from "./layout.ts";

/** What was removed. */
export interface Removed {
  blobs: number;
  bytes: number;
}

/** The descriptors below a manifest or an index, itself not among them. */
export function childrenOf(document: Manifest | Index): Descriptor[] {
  return document.kind === "index" ? document.manifests : [document.config, ...document.layers];
}

/** The digests of everything that an image is made of, as far as it is there. */
async function reachable(layout: Layout, roots: readonly Descriptor[]): Promise<Set<string>> {
  const found = new Set<string>();
  const left = [...roots];
  for (let descriptor = left.pop(); descriptor !== undefined; descriptor = left.pop()) {
    if (found.has(descriptor.digest)) continue;
    found.add(descriptor.digest);
    // Of an index for several platforms only some may have been pulled.
    if (manifestKind(descriptor.mediaType) === undefined || !layout.has(descriptor)) continue;
    const bytes = await layout.manifestBytes(descriptor);
    left.push(...childrenOf(parseManifest(bytes, `the manifest ${descriptor.digest}`, descriptor.mediaType)));
  }
  return found;
}

/** Bytes of an image in a layout, each blob once: its content as it is kept, compressed. */
export async function imageSize(layout: Layout, root: Descriptor): Promise<number> {
  let bytes = 0;
  for (const digest of await reachable(layout, [root])) {
    bytes += statSync(layout.blobPath(digest), { throwIfNoEntry: false })?.size ?? 0;
  }
  return bytes;
}

/** Removes every blob that no image has, and what is left of downloads that were interrupted. Waits until it is alone. */
export async function prune(layout: Layout): Promise<Removed> {
  const lock = await layout.alone(true);
  try {
    const kept = await reachable(layout, layout.index().manifests);
    const removed: Removed = { blobs: 0, bytes: 0 };
    for (const algorithm of readdirSync(join(layout.directory, "blobs"))) {
      const directory = join(layout.directory, "blobs", algorithm);
      for (const encoded of readdirSync(directory)) {
        if (!kept.has(`${algorithm}:${encoded}`)) remove(join(directory, encoded), removed);
      }
    }
    for (const entry of partials(layout)) remove(join(layout.directory, "ingest", entry), removed);
    layout.tidy();
    return removed;
  } finally {
    lock?.release();
  }
}

/**
 * Takes a name away, and removes what no other name needs.
 *
 * @returns undefined where there is no such name; `inUse` if content had to stay because others use the layout now
 */
export async function removeImage(
  layout: Layout,
  name: string,
): Promise<(Removed & { inUse: boolean }) | undefined> {
  const root = layout.find(name);
  if (root === undefined) return undefined;
  await layout.changeIndex((manifests) =>
    manifests.filter((one) => one.annotations?.[REFERENCE_NAME] !== name),
  );
  const lock = await layout.alone(false);
  if (lock === undefined) return { blobs: 0, bytes: 0, inUse: true };
  try {
    const kept = await reachable(layout, layout.index().manifests);
    const removed: Removed = { blobs: 0, bytes: 0 };
    for (const digest of await reachable(layout, [root])) {
      if (!kept.has(digest)) remove(layout.blobPath(digest), removed);
    }
    return { ...removed, inUse: false };
  } finally {
    lock.release();
  }
}

function partials(layout: Layout): string[] {
  try {
    return readdirSync(join(layout.directory, "ingest"));
  } catch {
    return [];
  }
}

function remove(path: string, removed: Removed): void {
  const status = statSync(path, { throwIfNoEntry: false });
  if (status === undefined) return;
  rmSync(path, { recursive: true, force: true });
  removed.blobs++;
  removed.bytes += status.size;
}
