import { UruncError } from "../../errors.ts";
import { describeBytes } from "../copy.ts";
import { decompress } from "../layers/compression.ts";
import { parseDigest } from "../spec/digest.ts";
import { DocumentReader } from "../spec/document.ts";
import { parseImageConfig } from "../spec/image-config.ts";
import {
  type Descriptor,
  MAXIMUM_CONFIG,
  MAXIMUM_ENTRIES,
  MAXIMUM_MANIFEST,
  parseManifest,
} from "../spec/manifest.ts";
import { isImageConfig, layerCompression, OCI_CONFIG, OCI_LAYER, OCI_MANIFEST } from "../spec/media-type.ts";
import { familiarName, formatReference, parseReference, type Reference } from "../spec/reference.ts";
import { type Chunks, verified } from "../spec/verify.ts";
import type { ImageSink, ImageSource } from "../transport.ts";
import type { Member, TarFile } from "./tar-index.ts";
import { TarWriter, type Write } from "./tar-writer.ts";

/** An image in `manifest.json`. */
interface Entry {
  config: string;
  tags: string[];
  layers: string[];
}

/**
 * An image of an archive that `docker save` makes, of old (a directory for each layer) or from Docker 25 on (an image
 * layout with `manifest.json`). Its manifest is made here: the archive's has neither digests nor sizes.
 *
 * @param name undefined: the only one there is
 * @throws UruncError `image-invalid` or `image-missing`
 */
export async function dockerArchiveSource(
  tar: TarFile,
  name: Reference | undefined,
  called: string,
): Promise<ImageSource> {
  const entry = chooseEntry(
    parseEntries(await small(tar, "manifest.json", MAXIMUM_MANIFEST, called), called),
    name,
    called,
  );
  const configBytes = await small(tar, entry.config, MAXIMUM_CONFIG, called);
  const { diffIds } = parseImageConfig(configBytes, `the configuration in ${called}`);
  if (diffIds.length !== entry.layers.length) {
    throw new UruncError(
      "image-invalid",
      `${called} has ${entry.layers.length} layers and its configuration ${diffIds.length}`,
    );
  }
  const members = new Map<string, Member>();
  const layers: Descriptor[] = [];
  for (const [index, path] of entry.layers.entries()) {
    const member = tar.find(path);
    if (member === undefined) throw new UruncError("image-invalid", `${called} lacks the layer ${path}`);
    const descriptor = await describeLayer(tar, member, diffIds[index] as string);
    layers.push(descriptor);
    members.set(descriptor.digest, member);
  }
  const config = describeBytes(configBytes, OCI_CONFIG);
  const document = { schemaVersion: 2, mediaType: OCI_MANIFEST, config, layers };
  const bytes = new TextEncoder().encode(JSON.stringify(document));
  return {
    name: called,
    root: async () => ({ descriptor: describeBytes(bytes, OCI_MANIFEST), bytes }),
    async *open({ digest }, offset = 0) {
      if (digest === config.digest) {
        yield configBytes.subarray(offset);
        return;
      }
      const member = members.get(digest);
      if (member === undefined)
        throw new UruncError("image-missing", `${called} lacks the content ${digest}`);
      yield* tar.open(member, offset);
    },
  };
}

/** The images that an archive holds, by their first names. */
function parseEntries(bytes: Uint8Array, called: string): Entry[] {
  const read = new DocumentReader(`manifest.json of ${called}`);
  let document: unknown;
  try {
    document = JSON.parse(new TextDecoder().decode(bytes));
  } catch (cause) {
    throw read.invalid(`is not JSON: ${(cause as Error).message}`);
  }
  return read.list(document, "the document").map((value, index) => {
    const fields = read.object(value, `[${index}]`);
    const layers = read.stringList(fields["Layers"], `[${index}].Layers`);
    if (layers.length > MAXIMUM_ENTRIES) throw read.invalid(`has more than ${MAXIMUM_ENTRIES} layers`);
    return {
      config: read.string(fields["Config"], `[${index}].Config`),
      tags: read.stringList(fields["RepoTags"], `[${index}].RepoTags`),
      layers,
    };
  });
}

function chooseEntry(entries: Entry[], name: Reference | undefined, called: string): Entry {
  const there = entries.map(({ tags }) => tags[0] ?? "one without a name").join(", ");
  if (name === undefined) {
    const [only, ...others] = entries;
    if (only !== undefined && others.length === 0) return only;
    if (only === undefined) throw new UruncError("image-missing", `${called} has no image`);
    throw new UruncError("usage", `${called} holds several images, name one of them: ${there}`);
  }
  const whole = formatReference(name);
  const found = entries.find(({ tags }) =>
    tags.some((tag) => formatReference(parseReference(tag)) === whole),
  );
  if (found === undefined) {
    throw new UruncError("image-missing", `${called} has no image ${familiarName(name)}: it has ${there}`);
  }
  return found;
}

async function small(tar: TarFile, path: string, maximum: number, called: string): Promise<Uint8Array> {
  const member = tar.find(path);
  if (member === undefined)
    throw new UruncError("image-invalid", `${called} is no docker-archive: it lacks ${path}`);
  if (member.size > maximum) {
    throw new UruncError(
      "image-invalid",
      `${called} has ${path} of ${member.size} bytes: at most ${maximum} are accepted`,
    );
  }
  return collect(tar.open(member));
}

async function collect(chunks: Chunks): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const chunk of chunks) parts.push(chunk.slice());
  return Buffer.concat(parts);
}

/** A layer as it is: without compression its digest is in the configuration, else it has to be read. */
async function describeLayer(tar: TarFile, member: Member, diffId: string): Promise<Descriptor> {
  const start = await collect(tar.open({ offset: member.offset, size: Math.min(4, member.size) }));
  const magic = Buffer.from(start).toString("hex");
  const compression = magic.startsWith("1f8b") ? "gzip" : magic === "28b52ffd" ? "zstd" : undefined;
  if (compression === undefined) return { mediaType: OCI_LAYER, digest: diffId, size: member.size };
  const hasher = new Bun.CryptoHasher("sha256");
  for await (const chunk of tar.open(member)) hasher.update(chunk);
  return {
    mediaType: `${OCI_LAYER}+${compression}`,
    digest: `sha256:${hasher.digest("hex")}`,
    size: member.size,
  };
}

/** Where an archive's bytes go, and what makes it final. */
export interface ArchiveOutput {
  write: Write;
  finish(): Promise<void>;
  close(): Promise<void>;
}

/** An archive that `docker load` takes, written as it goes along. */
export function dockerArchiveSink(
  output: ArchiveOutput,
  name: Reference | undefined,
  called: string,
): ImageSink {
  const tar = new TarWriter(output.write);
  return {
    name: called,
    parallel: 1,
    severalPlatforms: false,
    async putBlob(descriptor, source, onProgress) {
      const path = memberName(descriptor);
      if (tar.has(path)) return;
      const content = verified(descriptor, source.open(descriptor));
      if (!isImageConfig(descriptor.mediaType) && layerCompression(descriptor.mediaType) === "zstd") {
        // Docker loads zstd only from version 23 on; a member's size has to be known before its content.
        let size = 0;
        for await (const chunk of decompress(content)) size += chunk.length;
        await tar.file(path, size, decompress(verified(descriptor, source.open(descriptor))));
      } else await tar.file(path, descriptor.size, content);
      onProgress(descriptor.size);
    },
    async putManifest(descriptor, bytes) {
      const manifest = parseManifest(bytes, called, descriptor.mediaType);
      if (manifest.kind !== "manifest") throw new UruncError("internal", `${called} was given an index`);
      if (!isImageConfig(manifest.config.mediaType)) {
        throw new UruncError(
          "not-supported",
          `${called} takes images, and this is a ${manifest.config.mediaType}`,
        );
      }
      const entry = {
        Config: memberName(manifest.config),
        // Docker knows no digests here.
        RepoTags: tagOf(name),
        Layers: manifest.layers.map(memberName),
      };
      const text = new TextEncoder().encode(JSON.stringify([entry]));
      await tar.file("manifest.json", text.length, text);
    },
    async finish() {
      await tar.end();
      await output.finish();
    },
    close: () => output.close(),
  };
}

/** Docker knows names with tags here, and no digests. */
function tagOf(name: Reference | undefined): string[] | null {
  if (name?.tag === undefined) return null;
  const { registry, repository, tag } = name;
  return [familiarName({ registry, repository, tag })];
}

function memberName({ digest, mediaType }: Descriptor): string {
  // A digest of sha512 is longer than a name may be.
  const hex = parseDigest(digest).encoded.slice(0, 64);
  return isImageConfig(mediaType) ? `${hex}.json` : `${hex}.tar`;
}
