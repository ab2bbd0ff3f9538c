import { UruncError } from "../errors.ts";
import { chosenManifest } from "../image/copy.ts";
import type { Access } from "../image/location.ts";
import { type ImageConfig, parseImageConfig } from "../image/spec/image-config.ts";
import { type Descriptor, MAXIMUM_CONFIG, parseManifest } from "../image/spec/manifest.ts";
import { isImageConfig } from "../image/spec/media-type.ts";
import type { Platform } from "../image/spec/platform.ts";
import { familiarName, formatReference, parseReference, type Reference } from "../image/spec/reference.ts";
import { readVerified } from "../image/spec/verify.ts";
import type { Layout } from "../image/store/layout.ts";
import { layoutSource } from "../image/store/transport.ts";

/** An image of the store, ready to be run. */
export interface RunnableImage {
  name: string;
  /** Of its manifest. */
  digest: string;
  config: ImageConfig;
  layers: Descriptor[];
  open(layer: Descriptor): AsyncIterable<Uint8Array>;
}

/** How an image comes into the store. */
export interface ImageRequest {
  image: string;
  platform: Platform;
  pull: "missing" | "always" | "never";
  access: Access;
  /** Brings it there; `missing`: it was looked for before. */
  bring(reference: Reference, called: string, missing: boolean): Promise<void>;
}

/**
 * Finds an image in the store, brought there first as `--pull` says.
 *
 * @throws UruncError `image-missing`, `image-invalid`, and what `bring` throws
 */
export async function findImage(request: ImageRequest): Promise<{ layout: Layout; image: RunnableImage }> {
  const reference = parseReference(request.image);
  const called = familiarName(reference);
  const layout = request.access.store();
  if (request.pull === "always") await request.bring(reference, called, false);
  try {
    return { layout, image: await readImage(layout, reference, called, request.platform) };
  } catch (error) {
    const missing = error instanceof UruncError && error.code === "image-missing";
    if (!missing || request.pull !== "missing") throw error;
  }
  await request.bring(reference, called, true);
  return { layout, image: await readImage(layout, reference, called, request.platform) };
}

async function readImage(
  layout: Layout,
  reference: Reference,
  called: string,
  platform: Platform,
): Promise<RunnableImage> {
  const hint = ': bring it there with "bunny pull", or leave out --pull never';
  const source = layoutSource(layout, formatReference(reference), called, hint);
  const { descriptor, bytes } = await chosenManifest(source, platform);
  const manifest = parseManifest(bytes, called, descriptor.mediaType);
  if (manifest.kind !== "manifest" || !isImageConfig(manifest.config.mediaType)) {
    throw new UruncError(
      "image-invalid",
      `${called} is no image that could be run: it has no configuration of one`,
    );
  }
  const absent = [manifest.config, ...manifest.layers].find((one) => !layout.has(one));
  if (absent !== undefined) {
    throw new UruncError(
      "image-missing",
      `${called} is not whole in ${layout.directory}: it lacks ${absent.digest}`,
    );
  }
  const configBytes = await readVerified(manifest.config, source.open(manifest.config), MAXIMUM_CONFIG);
  return {
    name: called,
    digest: descriptor.digest,
    config: parseImageConfig(configBytes, `the configuration of ${called}`),
    layers: manifest.layers,
    open: (layer) => source.open(layer),
  };
}
