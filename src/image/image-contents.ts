import { UruncError } from "../errors.ts";
import { chosenManifest } from "./copy.ts";
import { type ImageConfig, parseImageConfig } from "./spec/image-config.ts";
import { type Descriptor, MAXIMUM_CONFIG, type Manifest, parseManifest } from "./spec/manifest.ts";
import { isImageConfig } from "./spec/media-type.ts";
import type { Platform } from "./spec/platform.ts";
import { readVerified } from "./spec/verify.ts";
import type { ImageSource } from "./transport.ts";

/** What an image is made of, read and checked; the layers' content is not read yet. */
export interface ImageContents {
  /** What it is called in sentences. */
  name: string;
  /** Of its manifest. */
  descriptor: Descriptor;
  manifest: Manifest;
  config: ImageConfig;
  /** The configuration as it is. */
  configBytes: Uint8Array;
  /** The lowest first, as many as the configuration names. */
  layers: readonly Descriptor[];
}

/**
 * Reads an image for one platform: its manifest and its configuration.
 *
 * @throws UruncError `image-missing`, `image-invalid` for what is no container image, and what the source throws
 */
export async function readImage(source: ImageSource, platform: Platform): Promise<ImageContents> {
  const { name } = source;
  const { descriptor, bytes } = await chosenManifest(source, platform);
  const manifest = parseManifest(bytes, name, descriptor.mediaType);
  if (manifest.kind !== "manifest" || !isImageConfig(manifest.config.mediaType)) {
    throw new UruncError("image-invalid", `${name} is no container image: it has no configuration of one`);
  }
  const configBytes = await readVerified(manifest.config, source.open(manifest.config), MAXIMUM_CONFIG);
  const config = parseImageConfig(configBytes, `the configuration of ${name}`);
  const { layers } = manifest;
  if (config.diffIds.length !== layers.length) {
    throw new UruncError(
      "image-invalid",
      `${name} has ${layers.length} layers, and its configuration names ${config.diffIds.length}`,
    );
  }
  return { name, descriptor, manifest, config, configBytes, layers };
}
