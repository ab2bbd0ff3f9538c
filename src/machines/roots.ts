import { createHash } from "node:crypto";
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Accounts, accountsOf } from "../image/accounts.ts";
import { writeErofs } from "../image/filesystem/erofs.ts";
import { writeExt4 } from "../image/filesystem/ext4.ts";
import { ContentStore } from "../image/layers/content.ts";
import { treeOfLayers } from "../image/layers/layers.ts";
import { type Directory, withOwnDirectories } from "../image/layers/tree.ts";
import type { Descriptor } from "../image/spec/manifest.ts";
import { type Entry, findMade, openMade } from "../image/store/made-once.ts";
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
  return rootOf(
    await openMade(directory, key, { marker: ACCOUNTS, most, make: (path) => make(path, parts) }),
  );
}

/** A root that is there, by its directory; undefined where it is not, or somebody else is making or removing it. */
export async function findRoot(path: string): Promise<Root | undefined> {
  const entry = await findMade(path, { marker: ACCOUNTS });
  return entry && rootOf(entry);
}

function rootOf({ path, made, release }: Entry): Root {
  const accounts = JSON.parse(readFileSync(join(path, ACCOUNTS), "utf8")) as Accounts;
  const brought = join(path, BROUGHT);
  return {
    path: existsSync(join(path, DISK)) ? join(path, DISK) : join(path, IMAGE),
    ...(existsSync(brought) ? { brought } : {}),
    accounts,
    made,
    release,
  };
}

/** Of the same layers an image that says something else brings something else. */
function annotationsKey(annotations: Readonly<Record<string, string>>): string {
  return `brings ${JSON.stringify(Object.entries(annotations).sort(([a], [b]) => (a < b ? -1 : 1)))}`;
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
  } finally {
    close();
  }
}
