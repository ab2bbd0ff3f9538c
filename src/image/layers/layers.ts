import { UruncError } from "../../errors.ts";
import { LayerApplication } from "./apply.ts";
import type { ContentStore } from "./content.ts";
import { type LayerEntry, readLayer } from "./layer-reader.ts";
import { DEFAULT_TAR_LIMITS, type TarLimits } from "./tar-reader.ts";
import { type Directory, plainDirectory } from "./tree.ts";

export interface LayersOptions {
  /** Of each layer. */
  limits?: Partial<TarLimits>;
  signal?: AbortSignal;
}

/** Layers that are read at once: each is decompressed by a thread of its own. */
const AT_ONCE = 3;

/**
 * Puts an image's layers together to its root, in memory: names and metadata are in the tree, the bytes of files in
 * the store. Nothing is written elsewhere, so that this needs no rights. The same layers give equal trees.
 *
 * @param layers from the lowest to the topmost, each a tar, as it is or compressed with gzip or zstd; some are read at
 *   once, each to its end; errors count them from 1
 * @param store where files' bytes go; it must be open as long as the tree is used
 * @throws UruncError `layer-invalid` for a layer that is malformed, leads out of the root or is above a limit,
 *   `file-system` if there is no room; what a layer's stream itself throws; the signal's reason. Of several layers that
 *   are wrong it is the lowest one's. No layer is read any more then
 */
export async function treeOfLayers(
  layers: readonly AsyncIterable<Uint8Array>[],
  store: ContentStore,
  options: LayersOptions = {},
): Promise<Directory> {
  const root = plainDirectory();
  const limits = { ...DEFAULT_TAR_LIMITS, ...options.limits };
  const stop = new AbortController();
  const signal = options.signal === undefined ? stop.signal : AbortSignal.any([stop.signal, options.signal]);
  const waiting = [...layers];
  const reading: Promise<LayerEntry[]>[] = [];
  const begin = () => {
    const layer = waiting.shift();
    if (layer === undefined) return;
    const read = readLayer(layer, store, limits, signal);
    // Whoever waits for it hears of it, if anybody does.
    read.catch(() => {});
    reading.push(read);
  };
  for (let count = 0; count < AT_ONCE; count++) begin();
  try {
    for (let number = 1; number <= layers.length; number++) {
      const application = new LayerApplication(root);
      try {
        for (const entry of await (reading[0] as Promise<LayerEntry[]>)) application.apply(entry);
      } catch (error) {
        if (!(error instanceof UruncError) || error.code !== "layer-invalid") throw error;
        const sentence = `layer ${number} of ${layers.length}: ${error.message}`;
        throw new UruncError(error.code, sentence, { cause: error });
      }
      reading.shift();
      begin();
    }
  } finally {
    stop.abort();
    await Promise.allSettled(reading);
  }
  return root;
}
