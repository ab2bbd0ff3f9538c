import { UruncError } from "../errors.ts";
import { copyImage } from "../image/copy.ts";
import { storedImage } from "../image/find-image.ts";
import { type ImageContents, readImage } from "../image/image-contents.ts";
import { type Access, openSource } from "../image/location.ts";
import { parseDocument } from "../image/spec/document.ts";
import type { ImageConfig } from "../image/spec/image-config.ts";
import { type Descriptor, MAXIMUM_CONFIG, type Manifest } from "../image/spec/manifest.ts";
import { hostPlatform, type Platform, platformName } from "../image/spec/platform.ts";
import { familiarName, formatReference, type Reference } from "../image/spec/reference.ts";
import type { Layout } from "../image/store/layout.ts";
import { digestSource, layoutSink } from "../image/store/transport.ts";
import { type CopyProgress, SILENT } from "../image/transport.ts";
import type { ConfigDocument } from "./image.ts";
import type { BuiltLayer } from "./layer.ts";

/** What others are built on; its layers are in the store. */
export interface BaseImage {
  /** The configuration as it is, to be changed and written again. */
  config: ConfigDocument;
  /** What is known of it, checked. */
  image: ImageConfig;
  layers: readonly BuiltLayer[];
}

/** An image of the store that others are built on. */
export interface Base extends BaseImage {
  descriptor: Descriptor;
  manifest: Manifest;
}

export interface BaseOptions {
  /** When a registry is asked: always, or only if the store lacks the image (default). */
  pull?: "always" | "missing";
  progress?: CopyProgress;
}

/**
 * An image of the store, brought there from its registry if need be. For the platform of this machine it keeps its name
 * there, unless the name is taken. The caller keeps `Layout.using` around it.
 *
 * @param reference a digest in it is held to
 * @param layout the store
 * @throws UruncError `image-missing` if there is no such image, or not for the platform; `image-invalid` for what is no
 *   image; what a registry's client throws
 */
export async function resolveBase(
  reference: Reference,
  platform: Platform,
  layout: Layout,
  access: Access,
  options: BaseOptions = {},
): Promise<Base> {
  const called = familiarName(reference);
  const kept = options.pull === "always" ? undefined : await inStore(reference, platform, layout);
  if (kept !== undefined && serves(kept.image.platform, platform)) return kept;
  const base = await pulled(reference, platform, layout, access, options).catch((error) => {
    throw notFound(error, called, kept);
  });
  if (serves(base.image.platform, platform)) return base;
  throw new UruncError(
    "image-missing",
    `${called} is an image for ${platformName(base.image.platform)} and not for ${platformName(platform)}`,
  );
}

function serves(offered: Platform, wanted: Platform): boolean {
  return offered.os === wanted.os && offered.architecture === wanted.architecture;
}

async function pulled(
  reference: Reference,
  platform: Platform,
  layout: Layout,
  access: Access,
  options: BaseOptions,
): Promise<Base> {
  const called = familiarName(reference);
  const name = formatReference(reference);
  const { source } = await openSource({ kind: "registry", reference }, called, access);
  const sink = layoutSink(layout, name, called);
  // Of another platform, or of a name that has others, the name would not lead where it led before.
  const isNamed = platformName(platform) === platformName(hostPlatform()) && layout.find(name) === undefined;
  try {
    const root = await copyImage(source, isNamed ? sink : { ...sink, async finish() {} }, {
      platform,
      progress: options.progress ?? SILENT,
    });
    return baseOf(await readImage(digestSource(layout, root, called), platform));
  } finally {
    await sink.close?.();
    await source.close?.();
  }
}

/** What the store has for a platform, if all of it is there. */
async function inStore(reference: Reference, platform: Platform, layout: Layout): Promise<Base | undefined> {
  try {
    return baseOf(await storedImage(layout, reference, platform));
  } catch (error) {
    // Of an index for several platforms only others were fetched, or a part was removed: a registry may have it.
    if (error instanceof UruncError && error.code === "image-missing") return undefined;
    throw error;
  }
}

function baseOf({ name, descriptor, manifest, config, configBytes, layers }: ImageContents): Base {
  return {
    descriptor,
    manifest,
    config: parseDocument(configBytes, name, MAXIMUM_CONFIG) as ConfigDocument,
    image: config,
    layers: layers.map((layer, index) => ({ descriptor: layer, diffId: config.diffIds[index] as string })),
  };
}

function notFound(error: unknown, called: string, kept: Base | undefined): unknown {
  if (
    !(error instanceof UruncError) ||
    !["image-missing", "registry", "registry-denied"].includes(error.code)
  ) {
    return error;
  }
  const there =
    kept === undefined
      ? `has no image ${called}`
      : `has ${called} for ${platformName(kept.image.platform)} only`;
  return new UruncError(error.code, `${error.message}; the store ${there}`, { cause: error });
}
