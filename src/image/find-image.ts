import { UruncError } from "../errors.ts";
import { type ImageContents, readImage } from "./image-contents.ts";
import type { Platform } from "./spec/platform.ts";
import { familiarName, formatReference, type Reference } from "./spec/reference.ts";
import type { Layout } from "./store/layout.ts";
import { digestSource } from "./store/transport.ts";

/** How an image comes into the store. */
export interface ImageRequest {
  reference: Reference;
  platform: Platform;
  pull: "missing" | "always" | "never";
  /** The store. */
  layout: Layout;
  /** Brings it there; `missing`: it was looked for before. */
  bring(missing: boolean): Promise<void>;
}

/**
 * Finds an image in the store, brought there first as the flag `--pull` says.
 *
 * @throws UruncError `image-missing`, `image-invalid`, and what `bring` throws
 */
export async function findImage(request: ImageRequest): Promise<ImageContents> {
  const { reference, platform, pull, layout, bring } = request;
  if (pull === "always") await bring(false);
  try {
    return await storedImage(layout, reference, platform);
  } catch (error) {
    const missing = error instanceof UruncError && error.code === "image-missing";
    if (!missing || pull === "always") throw error;
    if (pull === "never") {
      const sentence = `${error.message}: bring it there with "bunny pull", or leave out --pull never`;
      throw new UruncError("image-missing", sentence, { cause: error });
    }
  }
  await bring(true);
  return storedImage(layout, reference, platform);
}

/**
 * An image of the store, all of which is there. A digest in the reference is held to, whatever has the name.
 *
 * @throws UruncError `image-missing` also where a part of it is not there; `image-invalid`
 */
export async function storedImage(
  layout: Layout,
  reference: Reference,
  platform: Platform,
): Promise<ImageContents> {
  const called = familiarName(reference);
  const { digest } = reference;
  const root =
    layout.find(formatReference(reference)) ?? layout.index().manifests.find((one) => one.digest === digest);
  if (root === undefined || (digest ?? root.digest) !== root.digest) {
    throw new UruncError("image-missing", `${called} is not in ${layout.directory}`);
  }
  const image = await readImage(digestSource(layout, root, called), platform);
  const absent = image.layers.find((layer) => !layout.has(layer));
  if (absent === undefined) return image;
  throw new UruncError(
    "image-missing",
    `${called} is not whole in ${layout.directory}: it lacks ${absent.digest}`,
  );
}
