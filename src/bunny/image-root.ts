import type { ImageRequest } from "../image/find-image.ts";
import type { ImageContents } from "../image/image-contents.ts";
import type { Descriptor } from "../image/spec/manifest.ts";
import { bootAnnotations } from "../machines/brought.ts";
import { layersOfStore, openRoot, type Root } from "../machines/roots.ts";
import { access, platformOf } from "./command.ts";
import { imageOfStore } from "./image-of-store.ts";

/** What flags say of where an image is. */
export interface ImageFlags {
  store?: string | undefined;
  platform?: string | undefined;
  /** No progress of a pull. */
  quiet: boolean;
}

/**
 * An image of the store, pulled where it is not there or where that was asked for, and what machines are booted from: made
 * where it is not there yet, and to be released by the caller.
 *
 * @param roots the directory of all roots
 */
export function openImageRoot(
  request: { image: string; pull: ImageRequest["pull"] },
  { store, platform, quiet }: ImageFlags,
  roots: string,
): Promise<{ image: ImageContents; root: Root }> {
  const images = access(store);
  const layout = images.store();
  const chosen = platformOf(platform);
  // Nothing of the image is removed from the store meanwhile.
  return layout.using(async () => {
    const image = await imageOfStore(request, { access: images, layout, platform: chosen, quiet });
    const open = (layer: Descriptor) => layout.openChecked(layer);
    const parts = layersOfStore(roots, image.layers, open);
    return { image, root: await openRoot(roots, { ...parts, annotations: bootAnnotations(image) }) };
  });
}
