import { mkdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { makeFile, writePart } from "../image/filesystem/output.ts";
import type { ImageContents } from "../image/image-contents.ts";
import type { ContentStore } from "../image/layers/content.ts";
import { find, insideRoot } from "../image/layers/lookup.ts";
import { bytesOf, type Directory, type RegularFile } from "../image/layers/tree.ts";
import {
  configPath,
  IMAGE_FILE,
  IMAGE_FILE_MOST,
  IMAGE_PREFIX,
  type ImageWish,
  imageWish,
} from "../rootfs/wish.ts";

/** What of an image says what it brings. */
export interface AnnotatedImage {
  config: Pick<ImageContents["config"], "process">;
  manifest: Pick<ImageContents["manifest"], "annotations">;
}

/** Of an image's labels, and of its manifest's annotations, which go before, those that say what it brings. */
export function bootAnnotations({ config, manifest }: AnnotatedImage): Record<string, string> {
  const all = { ...config.process.labels, ...manifest.annotations };
  return Object.fromEntries(Object.entries(all).filter(([key]) => key.startsWith(IMAGE_PREFIX)));
}

/**
 * Writes what an image brings besides, or instead of, its own files as a root, each to its own place below a directory:
 * its kernel with its configuration, an initrd or block image, and what it says of them itself. What it names and does
 * not have is left out: the runtime has a sentence for that.
 *
 * @param annotations `bootAnnotations` of the image
 * @param directory made if there is anything
 * @returns what the image asks for; undefined: nothing
 * @throws UruncError `bundle-invalid` for what the image says, `file-system`
 */
export function bringOut(
  tree: Directory,
  store: ContentStore,
  annotations: Readonly<Record<string, string>>,
  directory: string,
): ImageWish | undefined {
  rmSync(directory, { recursive: true, force: true });
  const file = fileIn(tree, IMAGE_FILE);
  const wish = imageWish(annotations, file && textOf(file, store));
  if (wish === undefined) return undefined;
  mkdirSync(directory, { mode: 0o700 });
  const { kernel, block, initrd } = wish;
  const places = [
    IMAGE_FILE,
    ...(kernel === undefined ? [] : [kernel, configPath(kernel)]),
    ...[initrd, block?.path].filter((path) => path !== undefined),
  ];
  for (const place of new Set(places)) {
    const found = fileIn(tree, place);
    if (found === undefined) continue;
    const path = join(directory, place);
    mkdirSync(dirname(path), { recursive: true });
    makeFile(path, (output) => {
      const { content } = found;
      writePart(output, store, content, 0, content.size);
      return content.size;
    });
  }
  return wish;
}

function fileIn(tree: Directory, path: string): RegularFile | undefined {
  const inode = find(tree, insideRoot(bytesOf(path)));
  return inode?.kind === "file" ? inode : undefined;
}

/** As much as the runtime looks at. */
function textOf({ content }: RegularFile, store: ContentStore): string {
  const size = Math.min(content.size, IMAGE_FILE_MOST);
  const runs = content.runs
    .filter(({ at }) => at < size)
    .map((run) => ({ ...run, length: Math.min(run.length, size - run.at) }));
  const parts = [...store.readAll({ size, runs })].map((part) => Buffer.from(part));
  return Buffer.concat(parts).toString("utf8");
}
