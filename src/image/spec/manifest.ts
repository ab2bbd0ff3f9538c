import { UruncError } from "../../errors.ts";
import { DocumentReader, parseDocument } from "./document.ts";
import { manifestKind, OCI_INDEX, OCI_MANIFEST } from "./media-type.ts";
import { type Platform, readPlatform } from "./platform.ts";

/** Bytes of a manifest or index that are accepted at most: distribution-spec, "Pushing Manifests". */
export const MAXIMUM_MANIFEST = 4 * 1024 * 1024;

/** Bytes of an image's configuration that are accepted at most. */
export const MAXIMUM_CONFIG = 8 * 1024 * 1024;

/** Bytes of one blob that are accepted at most. */
export const MAXIMUM_BLOB = 1024 ** 4;

/** Layers of a manifest, or manifests of an index, that are accepted at most. */
export const MAXIMUM_ENTRIES = 1024;

/** A reference to content: image-spec `descriptor.md`. */
export interface Descriptor {
  mediaType: string;
  /** `sha256:…` or `sha512:…`, checked. */
  digest: string;
  /** Bytes. */
  size: number;
  platform?: Platform;
  annotations?: Record<string, string>;
  artifactType?: string;
}

/** An image's manifest: image-spec `manifest.md`, or Docker's schema 2. */
export interface Manifest {
  kind: "manifest";
  mediaType: string;
  config: Descriptor;
  layers: Descriptor[];
  subject?: Descriptor;
  annotations: Record<string, string>;
}

/** Manifests for several platforms: image-spec `image-index.md`, or Docker's manifest list. */
export interface Index {
  kind: "index";
  mediaType: string;
  manifests: Descriptor[];
  annotations: Record<string, string>;
}

/**
 * Parses and validates a manifest or an index. Unknown fields are ignored, as the specification says.
 *
 * @param bytes the document, at most {@link MAXIMUM_MANIFEST} of them
 * @param where what the sentence says of its origin
 * @param mediaType what its descriptor or the registry says that it is; the document's own field goes before
 * @throws UruncError `image-invalid`
 */
export function parseManifest(bytes: Uint8Array, where: string, mediaType?: string): Manifest | Index {
  const document = parseDocument(bytes, where, MAXIMUM_MANIFEST);
  const read = new DocumentReader(where);
  const version = document["schemaVersion"];
  if (version === 1) {
    throw new UruncError(
      "not-supported",
      `${where} is of Docker's schema 1, which is not supported: push the image again with a newer Docker`,
    );
  }
  if (version !== 2) throw read.invalid(`has schemaVersion ${JSON.stringify(version)} in the place of 2`);
  const own = read.optionalString(document["mediaType"], "mediaType");
  const type = own ?? (mediaType && manifestKind(mediaType) ? mediaType : guessed(document));
  const kind = type === undefined ? undefined : manifestKind(type);
  if (type === undefined || kind === undefined) {
    throw read.invalid(`has the unknown media type ${JSON.stringify(own ?? mediaType ?? "")}`);
  }
  // CVE-2021-41190: what one reader takes for a manifest must not be an index to another.
  if (mediaType !== undefined && manifestKind(mediaType) !== undefined && manifestKind(mediaType) !== kind) {
    throw read.invalid(`is said to be ${mediaType} and says itself that it is ${type}`);
  }
  const annotations = read.strings(document["annotations"], "annotations");
  if (kind === "index") {
    if (document["layers"] !== undefined) throw read.invalid("is an index and has layers");
    const manifests = list(read, document["manifests"], "manifests");
    return { kind, mediaType: type, manifests, annotations };
  }
  if (document["manifests"] !== undefined) throw read.invalid("is an image's manifest and has manifests");
  const manifest: Manifest = {
    kind,
    mediaType: type,
    config: readDescriptor(read, document["config"], "config"),
    layers: list(read, document["layers"], "layers"),
    annotations,
  };
  if (document["subject"] != null) manifest.subject = readDescriptor(read, document["subject"], "subject");
  return manifest;
}

/** The type of a document of image-spec 1.0, where neither it nor anybody else names one. */
function guessed(document: Record<string, unknown>): string | undefined {
  if (Array.isArray(document["manifests"]) && document["config"] === undefined) return OCI_INDEX;
  if (Array.isArray(document["layers"]) && document["manifests"] === undefined) return OCI_MANIFEST;
  return undefined;
}

function list(read: DocumentReader, value: unknown, at: string): Descriptor[] {
  const entries = read.list(value, at);
  if (entries.length > MAXIMUM_ENTRIES) {
    throw read.invalid(`has ${entries.length} ${at}: at most ${MAXIMUM_ENTRIES} are accepted`);
  }
  return entries.map((entry, index) => readDescriptor(read, entry, `${at}[${index}]`));
}

/** Reads a descriptor, at a place of a document for the sentence of what is wrong. */
export function readDescriptor(read: DocumentReader, value: unknown, at: string): Descriptor {
  const fields = read.object(value, at);
  const descriptor: Descriptor = {
    mediaType: read.string(fields["mediaType"], `${at}.mediaType`),
    digest: read.digest(fields["digest"], `${at}.digest`),
    size: read.size(fields["size"], `${at}.size`, MAXIMUM_BLOB),
  };
  if (fields["platform"] != null) {
    descriptor.platform = readPlatform(read, fields["platform"], `${at}.platform`);
  }
  const annotations = read.strings(fields["annotations"], `${at}.annotations`);
  if (Object.keys(annotations).length > 0) descriptor.annotations = annotations;
  const artifactType = read.optionalString(fields["artifactType"], `${at}.artifactType`);
  if (artifactType !== undefined) descriptor.artifactType = artifactType;
  return descriptor;
}
