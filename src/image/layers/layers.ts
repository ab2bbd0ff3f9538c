import { UruncError } from "../../errors.ts";
import { LayerApplication } from "./apply.ts";
import { decompress } from "./compression.ts";
import type { ContentStore } from "./content.ts";
import { PushReader } from "./push-reader.ts";
import { DEFAULT_TAR_LIMITS, readTar, type TarLimits } from "./tar-reader.ts";
import { type Directory, plainDirectory } from "./tree.ts";

export interface LayersOptions {
  /** Of each layer. */
  limits?: Partial<TarLimits>;
  signal?: AbortSignal;
}

/**
 * Puts an image's layers together to its root, in memory: names and metadata are in the tree, the bytes of files in
 * the store. Nothing is written elsewhere, so that this needs no rights. The same layers give equal trees.
 *
 * @param layers from the lowest to the topmost, each a tar, as it is or compressed with gzip or zstd; they are read
 *   one after another, each to its end; errors count them from 1
 * @param store where files' bytes go; it must be open as long as the tree is used
 * @throws UruncError `layer-invalid` for a layer that is malformed, leads out of the root or is above a limit,
 *   `file-system` if there is no room; what a layer's stream itself throws; the signal's reason
 */
export async function treeOfLayers(
  layers: readonly AsyncIterable<Uint8Array>[],
  store: ContentStore,
  options: LayersOptions = {},
): Promise<Directory> {
  const root = plainDirectory();
  const limits = { ...DEFAULT_TAR_LIMITS, ...options.limits };
  for (const [index, layer] of layers.entries()) {
    const application = new LayerApplication(root, store);
    const reader = new PushReader((input) => readTar(input, application, limits));
    try {
      // What comes after the archive's end too: so a compressed layer's checksum is seen, and a digest is whole.
      let after = 0;
      for await (const part of decompress(layer)) {
        options.signal?.throwIfAborted();
        if (reader.done) after += part.length;
        else reader.push(part);
        if (after > limits.bytes) break;
      }
      reader.end();
    } catch (error) {
      if (!(error instanceof UruncError) || error.code !== "layer-invalid") throw error;
      throw new UruncError(error.code, `layer ${index + 1} of ${layers.length}: ${error.message}`, {
        cause: error,
      });
    }
  }
  return root;
}
