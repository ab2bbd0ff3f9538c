import { UruncError } from "../errors.ts";
import { digestOf } from "./spec/digest.ts";
import { type Descriptor, MAXIMUM_MANIFEST, type Manifest, parseManifest } from "./spec/manifest.ts";
import { isImageConfig, layerCompression, manifestKind } from "./spec/media-type.ts";
import { choosePlatform, type Platform } from "./spec/platform.ts";
import { readVerified } from "./spec/verify.ts";
import { type CopyProgress, type ImageSink, type ImageSource, SILENT } from "./transport.ts";

/** An index of indexes of indexes… ends here. */
const MAXIMUM_DEPTH = 4;

export interface CopyOptions {
  /** Of an index only the manifest for it is copied; undefined: the index with everything in it. */
  platform?: Platform | undefined;
  progress?: CopyProgress;
}

/**
 * Copies an image: first what its manifests name, then the manifests, then the name, so that what has a name is whole.
 *
 * @returns the descriptor that the name leads to now
 * @throws UruncError `image-invalid`, `image-missing` for a platform that is not there, and what source and sink throw
 */
export async function copyImage(
  source: ImageSource,
  sink: ImageSink,
  options: CopyOptions = {},
): Promise<Descriptor> {
  const root = await chosenManifest(source, options.platform);
  await copyTree(root, source, sink, options.progress ?? SILENT, 0, new Set());
  await sink.finish(root.descriptor);
  return root.descriptor;
}

interface Found {
  descriptor: Descriptor;
  bytes: Uint8Array;
}

/** The source's root, or what serves a platform in it. */
export async function chosenManifest(source: ImageSource, platform: Platform | undefined): Promise<Found> {
  let found = await source.root();
  for (let depth = 0; platform !== undefined && depth < MAXIMUM_DEPTH; depth++) {
    const document = parseManifest(found.bytes, source.name, found.descriptor.mediaType);
    if (document.kind === "manifest") break;
    const descriptor = choosePlatform(document, platform, source.name);
    found = { descriptor, bytes: await readVerified(descriptor, source.open(descriptor), MAXIMUM_MANIFEST) };
  }
  const { annotations: _, platform: __, ...descriptor } = found.descriptor;
  const { mediaType } = parseManifest(found.bytes, source.name, descriptor.mediaType);
  return { descriptor: { ...descriptor, mediaType }, bytes: found.bytes };
}

async function copyTree(
  { descriptor, bytes }: Found,
  source: ImageSource,
  sink: ImageSink,
  progress: CopyProgress,
  depth: number,
  done: Set<string>,
): Promise<void> {
  if (done.has(descriptor.digest)) return;
  done.add(descriptor.digest);
  const document = parseManifest(bytes, source.name, descriptor.mediaType);
  if (document.kind === "index") {
    if (!sink.severalPlatforms) {
      throw new UruncError("usage", `${sink.name} holds one platform of an image: name it with --platform`);
    }
    if (depth === MAXIMUM_DEPTH) {
      throw new UruncError(
        "image-invalid",
        `${source.name} has indexes in indexes, more than ${MAXIMUM_DEPTH}`,
      );
    }
    for (const child of document.manifests) {
      if (manifestKind(child.mediaType) === undefined) {
        throw new UruncError(
          "image-invalid",
          `${source.name} has a manifest of unknown media type ${JSON.stringify(child.mediaType)}`,
        );
      }
      const childBytes = await readVerified(child, source.open(child), MAXIMUM_MANIFEST);
      await copyTree({ descriptor: child, bytes: childBytes }, source, sink, progress, depth + 1, done);
    }
  } else {
    checkLayers(document);
    await copyBlobs([document.config, ...document.layers], source, sink, progress, done);
  }
  await sink.putManifest(descriptor, bytes);
}

/** What we could never unpack is refused before it is downloaded; what is no image at all is not judged. */
function checkLayers({ config, layers }: Manifest): void {
  if (!isImageConfig(config.mediaType)) return;
  for (const layer of layers) {
    // Attestations of BuildKit's name themselves images.
    if (!layer.mediaType.startsWith("application/vnd.in-toto")) layerCompression(layer.mediaType);
  }
}

async function copyBlobs(
  blobs: readonly Descriptor[],
  source: ImageSource,
  sink: ImageSink,
  progress: CopyProgress,
  done: Set<string>,
): Promise<void> {
  const left = blobs.filter(({ digest }) => !done.has(digest) && done.add(digest));
  let failed = false;
  const worker = async () => {
    for (let blob = left.shift(); blob !== undefined && !failed; blob = left.shift()) {
      const current = blob;
      progress.begin(current);
      try {
        await sink.putBlob(current, source, (bytes) => progress.advance(current, bytes));
      } catch (error) {
        failed = true;
        throw error;
      }
      progress.end(current);
    }
  };
  // All have ended before the first failure is thrown: nobody writes any more.
  const results = await Promise.allSettled(Array.from({ length: sink.parallel }, worker));
  for (const result of results) if (result.status === "rejected") throw result.reason;
}

/** The descriptor of a document that is at hand. */
export function describeBytes(bytes: Uint8Array, mediaType: string): Descriptor {
  return { mediaType, digest: digestOf(bytes), size: bytes.length };
}
