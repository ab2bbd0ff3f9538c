import { UruncError } from "../../errors.ts";
import { parseDigest } from "../spec/digest.ts";
import { type Descriptor, MAXIMUM_MANIFEST, parseManifest } from "../spec/manifest.ts";
import { OCI_INDEX } from "../spec/media-type.ts";
import { readVerified, verified } from "../spec/verify.ts";
import { REFERENCE_NAME } from "../store/layout.ts";
import type { ImageSink, ImageSource } from "../transport.ts";
import type { ArchiveOutput } from "./docker-archive.ts";
import type { TarFile } from "./tar-index.ts";
import { TarWriter } from "./tar-writer.ts";

/**
 * An image of an archive of an OCI image layout.
 *
 * @param name as it is in the index; undefined: the only one there is
 * @throws UruncError `image-invalid` or `image-missing`
 */
export function ociArchiveSource(tar: TarFile, name: string | undefined, called: string): ImageSource {
  const source: ImageSource = {
    name: called,
    async root() {
      const member = tar.find("index.json");
      if (member === undefined || tar.find("oci-layout") === undefined) {
        throw new UruncError(
          "image-invalid",
          `${called} is no archive of an image layout: it lacks index.json`,
        );
      }
      if (member.size > MAXIMUM_MANIFEST) {
        throw new UruncError("image-invalid", `${called} has index.json of ${member.size} bytes`);
      }
      const parts: Uint8Array[] = [];
      for await (const chunk of tar.open(member)) parts.push(chunk.slice());
      const index = parseManifest(Buffer.concat(parts), `index.json of ${called}`, OCI_INDEX);
      if (index.kind !== "index")
        throw new UruncError("image-invalid", `index.json of ${called} is no index`);
      const descriptor = choose(index.manifests, name, called);
      return { descriptor, bytes: await readVerified(descriptor, source.open(descriptor), MAXIMUM_MANIFEST) };
    },
    open({ digest }, offset = 0) {
      const { algorithm, encoded } = parseDigest(digest);
      const member = tar.find(`blobs/${algorithm}/${encoded}`);
      if (member === undefined)
        throw new UruncError("image-missing", `${called} lacks the content ${digest}`);
      return tar.open(member, offset);
    },
  };
  return source;
}

function choose(manifests: readonly Descriptor[], name: string | undefined, called: string): Descriptor {
  const nameOf = (one: Descriptor) => one.annotations?.[REFERENCE_NAME];
  const there = manifests.map((one) => nameOf(one) ?? one.digest).join(", ") || "none";
  const found = name === undefined ? manifests[0] : manifests.find((one) => nameOf(one) === name);
  if (found === undefined) {
    throw new UruncError("image-missing", `${called} has no image ${name ?? ""}: it has ${there}`);
  }
  if (name === undefined && manifests.length > 1) {
    throw new UruncError("usage", `${called} holds several images, name one of them: ${there}`);
  }
  return found;
}

/** An archive of an OCI image layout, written as it goes along. */
export function ociArchiveSink(output: ArchiveOutput, name: string | undefined, called: string): ImageSink {
  const tar = new TarWriter(output.write);
  const pathOf = ({ digest }: Descriptor) => {
    const { algorithm, encoded } = parseDigest(digest);
    if (algorithm !== "sha256")
      throw new UruncError("not-supported", `${called} takes content by sha256 only`);
    return `blobs/${algorithm}/${encoded}`;
  };
  return {
    name: called,
    parallel: 1,
    severalPlatforms: true,
    async putBlob(descriptor, source, onProgress) {
      const path = pathOf(descriptor);
      if (tar.has(path)) return;
      await tar.file(path, descriptor.size, verified(descriptor, source.open(descriptor)));
      onProgress(descriptor.size);
    },
    async putManifest(descriptor, bytes) {
      const path = pathOf(descriptor);
      if (!tar.has(path)) await tar.file(path, bytes.length, bytes);
    },
    async finish(root) {
      const annotations = name === undefined ? {} : { annotations: { [REFERENCE_NAME]: name } };
      const index = { schemaVersion: 2, mediaType: OCI_INDEX, manifests: [{ ...root, ...annotations }] };
      for (const [path, document] of [
        ["oci-layout", { imageLayoutVersion: "1.0.0" }],
        ["index.json", index],
      ] as const) {
        const bytes = new TextEncoder().encode(JSON.stringify(document));
        await tar.file(path, bytes.length, bytes);
      }
      await tar.end();
      await output.finish();
    },
    close: () => output.close(),
  };
}
