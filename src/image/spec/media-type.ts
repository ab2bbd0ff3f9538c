import { UruncError } from "../../errors.ts";

/** Media types of image-spec `media-types.md`; Docker's schema 2 has the same documents under other names. */
export const OCI_INDEX = "application/vnd.oci.image.index.v1+json";
export const OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json";
export const OCI_CONFIG = "application/vnd.oci.image.config.v1+json";
export const OCI_LAYER = "application/vnd.oci.image.layer.v1.tar";
export const DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json";
export const DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json";
export const DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json";
const DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar";

/** What a registry is asked for. */
export const MANIFEST_TYPES = [OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_INDEX] as const;

/** What a manifest's media type says that it is; undefined for others. */
export function manifestKind(mediaType: string): "index" | "manifest" | undefined {
  if (mediaType === OCI_INDEX || mediaType === DOCKER_INDEX) return "index";
  if (mediaType === OCI_MANIFEST || mediaType === DOCKER_MANIFEST) return "manifest";
  return undefined;
}

export function isImageConfig(mediaType: string): boolean {
  return mediaType === OCI_CONFIG || mediaType === DOCKER_CONFIG;
}

export type LayerCompression = "none" | "gzip" | "zstd";

const LAYERS: Readonly<Record<string, LayerCompression>> = {
  [OCI_LAYER]: "none",
  [`${OCI_LAYER}+gzip`]: "gzip",
  [`${OCI_LAYER}+zstd`]: "zstd",
  [DOCKER_LAYER]: "none",
  [`${DOCKER_LAYER}.gzip`]: "gzip",
  [`${DOCKER_LAYER}.zstd`]: "zstd",
};

/**
 * How a layer is compressed.
 *
 * @throws UruncError `image-invalid` for a type that is no layer's, `not-supported` for layers that a registry may not
 *   distribute
 */
export function layerCompression(mediaType: string): LayerCompression {
  const compression = LAYERS[mediaType];
  if (compression !== undefined) return compression;
  if (/\.nondistributable\.|\.foreign\./.test(mediaType)) {
    throw new UruncError(
      "not-supported",
      `the image has a layer of type ${mediaType}, which registries may not distribute: it cannot be fetched`,
    );
  }
  throw new UruncError(
    "image-invalid",
    `the image has a layer of unknown type ${JSON.stringify(mediaType)}: known are ${Object.keys(LAYERS).join(", ")}`,
  );
}
