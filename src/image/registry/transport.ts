import type { Descriptor } from "../spec/manifest.ts";
import { familiarName, type Reference } from "../spec/reference.ts";
import type { Layout } from "../store/layout.ts";
import type { ImageSink, ImageSource } from "../transport.ts";
import { isManifest, type RegistryOptions, RepositoryClient, targetOf } from "./client.ts";

/** Blobs that are uploaded at once. */
const PARALLEL = 3;

/** An image of a registry. */
export function registrySource(reference: Reference, options: RegistryOptions): ImageSource {
  const client = new RepositoryClient(reference, options);
  return {
    name: familiarName(reference),
    repository: { registry: reference.registry, repository: reference.repository },
    root: () => client.manifest(targetOf(reference)),
    async *open(descriptor, offset = 0) {
      if (!isManifest(descriptor)) {
        yield* client.blob(descriptor, offset);
        return;
      }
      yield (await client.manifest(descriptor.digest)).bytes.subarray(offset);
    },
  };
}

/**
 * An image that is pushed.
 *
 * @param scratch keeps content that is not in a file until it is sent
 * @param mountFrom repositories of the same registry that may have the content already
 */
export function registrySink(
  reference: Reference,
  options: RegistryOptions,
  scratch: Layout,
  mountFrom: readonly string[],
): ImageSink {
  const client = new RepositoryClient(reference, options);
  const manifests: [descriptor: Descriptor, bytes: Uint8Array][] = [];
  const others = mountFrom.filter((repository) => repository !== reference.repository);
  return {
    name: familiarName(reference),
    parallel: PARALLEL,
    severalPlatforms: true,
    async putBlob(descriptor, source, onProgress) {
      const file = async () => {
        const path = source.file?.(descriptor);
        if (path !== undefined) return Bun.file(path);
        await scratch.addBlob(descriptor, (offset) => source.open(descriptor, offset));
        return Bun.file(scratch.blobPath(descriptor.digest));
      };
      await client.upload(descriptor, file, others, onProgress);
    },
    async putManifest(descriptor, bytes) {
      await client.putManifest(descriptor.digest, descriptor, bytes);
      manifests.push([descriptor, bytes]);
    },
    async finish(root) {
      const [descriptor, bytes] = manifests.find(([{ digest }]) => digest === root.digest) ?? [];
      if (reference.tag === undefined || descriptor === undefined || bytes === undefined) return;
      await client.putManifest(reference.tag, descriptor, bytes);
    },
  };
}
