import type { ConfigDocument } from "../build/image.ts";
import { type Platform, platformName } from "../image/spec/platform.ts";
import type { Result, Solved } from "./gateway.ts";

/** An image that BuildKit has built, or will when it is exported. */
export interface BuiltImage {
  solved: Solved;
  config: ConfigDocument;
  /** Of its manifest. */
  annotations: Readonly<Record<string, string>>;
  platform: Platform;
}

/** A result's keys: BuildKit's `exporter/containerimage/exptypes`. */
const CONFIG = "containerimage.config";
const PLATFORMS = "refs.platforms";

/**
 * What is returned to BuildKit: one image, or several for their platforms. Exporters that write manifests put the
 * annotations there; Docker's own store has none, and does not look at them.
 */
export function resultOf(images: readonly BuiltImage[], severalPlatforms = images.length > 1): Result {
  const metadata: Record<string, Uint8Array> = {};
  const refs = new Map<string, Solved>();
  for (const { solved, config, annotations, platform } of images) {
    const id = platformName(platform);
    refs.set(id, solved);
    metadata[severalPlatforms ? `${CONFIG}/${id}` : CONFIG] = encode(configuration(config, platform));
    for (const [key, value] of Object.entries(annotations)) {
      const of = severalPlatforms ? `[${id}]` : "";
      metadata[`annotation-manifest${of}.${key}`] = Buffer.from(value);
    }
  }
  const [only] = images;
  if (!severalPlatforms && only !== undefined) return { ref: only.solved, metadata };
  const platforms = images.map(({ platform }) => ({ ID: platformName(platform), Platform: platform }));
  metadata[PLATFORMS] = encode({ Platforms: platforms });
  return { ref: refs, metadata };
}

/** The document as exporters take it: they add the layers' digests. */
function configuration(config: ConfigDocument, { os, architecture, variant }: Platform) {
  const { architecture: _, os: __, variant: ___, ...rest } = config;
  return {
    ...rest,
    architecture,
    os,
    ...(variant === undefined ? {} : { variant }),
    rootfs: { type: "layers", diff_ids: [] },
  };
}

function encode(value: unknown): Uint8Array {
  return Buffer.from(JSON.stringify(value));
}

/** The image configurations of another frontend's result, by the platforms' ids; one alone by `""`. */
export function configurationsOf({ metadata }: Result): Map<string, Uint8Array> {
  const found = new Map<string, Uint8Array>();
  for (const [key, value] of Object.entries(metadata)) {
    if (key === CONFIG) found.set("", value);
    else if (key.startsWith(`${CONFIG}/`)) found.set(key.slice(CONFIG.length + 1), value);
  }
  return found;
}
