import { createHash } from "node:crypto";
import { linkSync, mkdirSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import type { RootfsConfig } from "../config/config.ts";
import { ordinaryUser } from "../container/rootless.ts";
import { UruncError } from "../errors.ts";
import { writeErofs } from "../image/filesystem/erofs.ts";
import { writeExt4 } from "../image/filesystem/ext4.ts";
import { ContentStore } from "../image/layers/content.ts";
import { treeOfDirectory } from "../image/layers/directory-reader.ts";
import {
  ElsewhereError,
  type OverlayPrefix,
  overlayLayer,
  seenOf,
  stackLayers,
} from "../image/layers/overlay.ts";
import { type Directory, plainDirectory } from "../image/layers/tree.ts";
import { openMade } from "../image/store/made-once.ts";
import type { WantedImage } from "./choose.ts";
import { type ContainerImages, makeContainerImages } from "./container-images.ts";
import { findRootLayers, type RootLayers } from "./root-layers.ts";
import type { LowerFile, RootSource, UpperFile } from "./source.ts";

/** A part of a key: what is made in another way is another one. */
const FORM = "automatic 1";
const IMAGE = "root.img";
const LAYER = "layer.img";
/** Beside the directory that a container's changes are in on the host, with which the engine removes it. */
const CHANGES = "urunc-changes.ext4";

/** What becomes an image, and for whom. */
export interface ImageRequest {
  readonly wanted: WantedImage;
  /** The container's root file system, absolute. */
  readonly rootfs: string;
  /** The container's state directory. */
  readonly owner: string;
  readonly config: Pick<RootfsConfig, "directory" | "cacheMiB" | "persistMiB">;
  /** Takes what was done, as a sentence. */
  log(sentence: string): void;
}

/** The root of one container, as files. */
export interface ImageRoot {
  readonly root: RootSource;
  readonly images: ContainerImages;
}

/**
 * Makes an image of a container's root file system, or finds the one that was made of the same image layers for another
 * container. What the container's own files change of them becomes an image beside it.
 *
 * @throws UruncError `not-supported`: of this root there cannot be one; `file-system`
 */
export async function makeImageRoot(request: ImageRequest): Promise<ImageRoot> {
  refuseOrdinaryUser();
  const { wanted, rootfs, owner, config } = request;
  const layers = findRootLayers(rootfs);
  const upper = upperPlace(wanted, layers);
  mkdirSync(config.directory, { recursive: true, mode: 0o755 });
  const images = await makeContainerImages(join(config.directory, "containers"), owner);
  try {
    const below = await lowerFiles(request, layers, images.path);
    if (upper.kind === "file") makeChanges(upper.path, config.persistMiB, images.path);
    return { root: { kind: "overlay", ...below, upper }, images };
  } catch (error) {
    images.remove();
    throw error;
  }
}

async function lowerFiles(
  request: ImageRequest,
  layers: RootLayers,
  directory: string,
): Promise<{ lower: LowerFile; layer?: LowerFile }> {
  if (layers.kind === "directory") return { lower: madeOf(request, directory, layers.why) };
  const { type } = request.wanted;
  try {
    const lower = { path: await shared(request, layers, join(directory, IMAGE)), type };
    const layer = ownLayer(request, layers, join(directory, LAYER));
    return { lower, ...(layer ? { layer } : {}) };
  } catch (error) {
    if (!(error instanceof ElsewhereError)) throw error;
    return { lower: madeOf(request, directory, "files of its layers are elsewhere in part") };
  }
}

function refuseOrdinaryUser(): void {
  if (ordinaryUser() === undefined) return;
  throw new UruncError(
    "not-supported",
    'only root can read all files of a container\'s root to make an image of it: set rootfs.way to "share", or start it ' +
      'with "bunny run"',
  );
}

/** Where what the container changes is kept. */
function upperPlace({ persist }: WantedImage, layers: RootLayers): UpperFile {
  if (!persist) return { kind: "tmpfs" };
  const directory = layers.kind === "layers" ? layers.upper : undefined;
  if (directory === undefined) {
    throw new UruncError(
      "not-supported",
      'rootfs.changes is "persist", and this root has no place that stays as long as the container: it must be an ' +
        'overlay that is written to, as Docker and containerd make them; set rootfs.changes to "memory"',
    );
  }
  return { kind: "file", path: join(dirname(directory), CHANGES) };
}

/** The file system for that, unless an earlier start of the container has made it. */
function makeChanges(path: string, sizeMiB: number, temporary: string): void {
  if (statSync(path, { throwIfNoEntry: false }) !== undefined) return;
  withStore(temporary, (store) =>
    writeExt4(plainDirectory(), store, path, { size: sizeMiB * 2 ** 20, durable: true }),
  );
}

/** An image of the image's layers, which all its containers have; it stays as long as the container has its name of it. */
async function shared(
  { wanted: { type }, config, log }: ImageRequest,
  { image, identity, prefix }: Extract<RootLayers, { kind: "layers" }>,
  name: string,
): Promise<string> {
  const key = createHash("sha256")
    .update(JSON.stringify([FORM, type, identity]))
    .digest("hex");
  const entry = await openMade(join(config.directory, "images"), key, {
    marker: IMAGE,
    most: config.cacheMiB * 2 ** 20,
    isKept: (path) => (statSync(join(path, IMAGE), { throwIfNoEntry: false })?.nlink ?? 0) > 1,
    async make(path) {
      const began = performance.now();
      withStore(path, (store) => {
        const tree = stacked(image, prefix, store);
        write(seenOf(tree), store, join(path, IMAGE), { type, durable: true });
      });
      const seconds = ((performance.now() - began) / 1000).toFixed(1);
      log(`an image of ${image.length} layers was made in ${seconds} s: ${join(path, IMAGE)}`);
    },
  });
  try {
    linkSync(join(entry.path, IMAGE), name);
    return name;
  } finally {
    entry.release();
  }
}

/** What the container's own layers change; undefined: nothing. */
function ownLayer(
  { wanted: { type } }: ImageRequest,
  { image, own, prefix }: Extract<RootLayers, { kind: "layers" }>,
  path: string,
): LowerFile | undefined {
  if (own.length === 0) return undefined;
  return withStore(dirname(path), (store) => {
    const tree = stacked(own, prefix, store);
    if (tree.children.size === 0 && looksLike(tree, image.at(-1) as string)) return undefined;
    write(tree, store, path, { type });
    return { path, type };
  });
}

/** An image of a root that is one directory, for its container alone. */
function madeOf({ wanted: { type }, rootfs, log }: ImageRequest, directory: string, why: string): LowerFile {
  const path = join(directory, IMAGE);
  const began = performance.now();
  withStore(directory, (store) => write(seenOf(treeOfDirectory(rootfs, store)), store, path, { type }));
  const seconds = ((performance.now() - began) / 1000).toFixed(1);
  log(`an image of ${rootfs} was made in ${seconds} s, for this container alone, as ${why}`);
  return { path, type };
}

function stacked(directories: readonly string[], prefix: OverlayPrefix, store: ContentStore): Directory {
  return directories
    .map((directory) => overlayLayer(treeOfDirectory(directory, store), prefix))
    .reduce(stackLayers);
}

/** Whether a directory says nothing of the root that is not so anyway. */
function looksLike({ mode, uid, gid }: Directory, path: string): boolean {
  const below = statSync(path);
  return (below.mode & 0o7777) === mode && below.uid === uid && below.gid === gid;
}

function write(
  tree: Directory,
  store: ContentStore,
  path: string,
  { type, durable = false }: { type: WantedImage["type"]; durable?: boolean },
): void {
  if (type === "erofs") writeErofs(tree, store, path, { durable });
  else writeExt4(tree, store, path, { durable });
}

function withStore<T>(directory: string, use: (store: ContentStore) => T): T {
  const store = new ContentStore(directory);
  try {
    return use(store);
  } finally {
    store.close();
  }
}
