import { UruncError } from "../errors.ts";
import { chosenManifest, copyImage } from "../image/copy.ts";
import { type Access, openSource } from "../image/location.ts";
import { parseDocument } from "../image/spec/document.ts";
import { type ImageConfig, parseImageConfig } from "../image/spec/image-config.ts";
import { type Descriptor, MAXIMUM_CONFIG, type Manifest, parseManifest } from "../image/spec/manifest.ts";
import { isImageConfig } from "../image/spec/media-type.ts";
import { hostPlatform, type Platform, platformName } from "../image/spec/platform.ts";
import { familiarName, formatReference, type Reference } from "../image/spec/reference.ts";
import { readVerified } from "../image/spec/verify.ts";
import type { Layout } from "../image/store/layout.ts";
import { layoutSink, layoutSource } from "../image/store/transport.ts";
import { type CopyProgress, type ImageSource, SILENT } from "../image/transport.ts";
import type { ConfigDocument } from "./image.ts";
import type { BuiltLayer } from "./layer.ts";

/** An image that others are built on; all of it is in the store. */
export interface Base {
  descriptor: Descriptor;
  manifest: Manifest;
  /** The configuration as it is, to be changed and written again. */
  config: ConfigDocument;
  /** What is known of it, checked. */
  image: ImageConfig;
  layers: BuiltLayer[];
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
    return await readBase(root, layout, called);
  } finally {
    await sink.close?.();
    await source.close?.();
  }
}

/** What the store has under a name for a platform, if all of it is there. */
async function inStore(reference: Reference, platform: Platform, layout: Layout): Promise<Base | undefined> {
  const called = familiarName(reference);
  const name = formatReference(reference);
  const root =
    layout.find(name) ?? layout.index().manifests.find(({ digest }) => digest === reference.digest);
  // A name can be given to anything; a digest in it says what is meant.
  if (root === undefined || (reference.digest ?? root.digest) !== root.digest) return undefined;
  const source: ImageSource = {
    ...layoutSource(layout, name, called),
    root: async () => ({ descriptor: root, bytes: await layout.manifestBytes(root) }),
  };
  try {
    const base = await readBase((await chosenManifest(source, platform)).descriptor, layout, called);
    return base.layers.every(({ descriptor }) => layout.has(descriptor)) ? base : undefined;
  } catch (error) {
    // Of an index for several platforms only others were fetched, or a part was removed: a registry may have it.
    if (error instanceof UruncError && error.code === "image-missing") return undefined;
    throw error;
  }
}

async function readBase(descriptor: Descriptor, layout: Layout, called: string): Promise<Base> {
  const manifest = parseManifest(await layout.manifestBytes(descriptor), called, descriptor.mediaType);
  if (manifest.kind === "index" || !isImageConfig(manifest.config.mediaType)) {
    throw new UruncError("image-invalid", `${called} is no container image that others can be built on`);
  }
  const bytes = await readVerified(manifest.config, layout.open(manifest.config), MAXIMUM_CONFIG);
  const image = parseImageConfig(bytes, `the configuration of ${called}`);
  if (image.diffIds.length !== manifest.layers.length) {
    throw new UruncError(
      "image-invalid",
      `${called} has ${manifest.layers.length} layers, and its configuration names ${image.diffIds.length}`,
    );
  }
  return {
    descriptor,
    manifest,
    config: parseDocument(bytes, called, MAXIMUM_CONFIG) as ConfigDocument,
    image,
    layers: manifest.layers.map((layer, index) => ({
      descriptor: layer,
      diffId: image.diffIds[index] as string,
    })),
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
