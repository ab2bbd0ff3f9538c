import type { Descriptor } from "../image/spec/manifest.ts";
import {
  layerCompression,
  OCI_CONFIG,
  OCI_INDEX,
  OCI_LAYER,
  OCI_MANIFEST,
} from "../image/spec/media-type.ts";
import type { Platform } from "../image/spec/platform.ts";
import type { Layout } from "../image/store/layout.ts";
import type { BuiltLayer } from "./layer.ts";

/** How a layer came to be: image-spec `config.md`, "history". */
export interface HistoryEntry {
  /** RFC 3339. */
  created?: string;
  created_by?: string;
  comment?: string;
  author?: string;
  /** It is about no layer. */
  empty_layer?: boolean;
}

/** The field `config` of an image's configuration as it is written; fields that are not named here are kept. */
export interface ProcessDocument {
  User?: string;
  Env?: string[];
  Entrypoint?: string[] | null;
  Cmd?: string[] | null;
  WorkingDir?: string;
  ExposedPorts?: Record<string, object>;
  Volumes?: Record<string, object>;
  Labels?: Record<string, string>;
  StopSignal?: string;
  [field: string]: unknown;
}

/** An image's configuration as it is written, image-spec `config.md`, but for what {@link writeImage} puts in. */
export interface ConfigDocument {
  created?: string;
  author?: string;
  config?: ProcessDocument;
  history?: HistoryEntry[];
  [field: string]: unknown;
}

export interface ImageParts {
  config: ConfigDocument;
  /** The lowest first, a base's layers among them. */
  layers: readonly BuiltLayer[];
  /** Of the manifest. */
  annotations: Readonly<Record<string, string>>;
  platform: Platform;
}

/**
 * Writes an image of layers that are in the store: its configuration and its manifest, with OCI's media types whatever
 * those of the base were. The same parts give the same bytes. It has no name yet: `Layout.add` gives one.
 *
 * @returns the manifest's descriptor
 * @throws UruncError `image-invalid` for layers of unknown types, `store` if there is no room
 */
export async function writeImage(layout: Layout, parts: ImageParts): Promise<Descriptor> {
  const { annotations } = parts;
  const config = await layout.addBytes(configBytes(parts), OCI_CONFIG);
  return addJson(layout, OCI_MANIFEST, {
    schemaVersion: 2,
    mediaType: OCI_MANIFEST,
    config,
    layers: parts.layers.map(({ descriptor }) => ({
      mediaType: ociLayer(descriptor.mediaType),
      digest: descriptor.digest,
      size: descriptor.size,
    })),
    ...(Object.keys(annotations).length === 0 ? {} : { annotations }),
  });
}

/** An image's configuration as it is written: the same parts give the same bytes. */
export function configBytes({ config, layers, platform }: Omit<ImageParts, "annotations">): Uint8Array {
  const { architecture: _, os: __, variant: ___, rootfs: ____, history, ...rest } = config;
  return jsonBytes({
    ...rest,
    architecture: platform.architecture,
    os: platform.os,
    ...(platform.variant === undefined ? {} : { variant: platform.variant }),
    ...(platform["os.version"] === undefined ? {} : { "os.version": platform["os.version"] }),
    rootfs: { type: "layers", diff_ids: layers.map(({ diffId }) => diffId) },
    ...(history === undefined || history.length === 0 ? {} : { history }),
  });
}

/**
 * Writes an index of images for several platforms.
 *
 * @returns its descriptor
 */
export async function writeIndex(
  layout: Layout,
  images: readonly { descriptor: Descriptor; platform: Platform }[],
  annotations: Readonly<Record<string, string>> = {},
): Promise<Descriptor> {
  return addJson(layout, OCI_INDEX, {
    schemaVersion: 2,
    mediaType: OCI_INDEX,
    manifests: images.map(({ descriptor, platform }) => ({ ...descriptor, platform })),
    ...(Object.keys(annotations).length === 0 ? {} : { annotations }),
  });
}

/** The same layer under OCI's name: its bytes are the same in Docker's schema 2. */
function ociLayer(mediaType: string): string {
  const compression = layerCompression(mediaType);
  return compression === "none" ? OCI_LAYER : `${OCI_LAYER}+${compression}`;
}

function addJson(layout: Layout, mediaType: string, value: unknown): Promise<Descriptor> {
  return layout.addBytes(jsonBytes(value), mediaType);
}

function jsonBytes(value: unknown): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value));
}
