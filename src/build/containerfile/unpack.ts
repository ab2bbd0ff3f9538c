import { UruncError } from "../../errors.ts";
import { decompress } from "../../image/layers/compression.ts";
import type { Content, ContentStore } from "../../image/layers/content.ts";
import { treeOfLayers } from "../../image/layers/layers.ts";
import { decodeHeader, TAR_BLOCK } from "../../image/layers/tar-header.ts";
import type { Directory } from "../../image/layers/tree.ts";

/** What archives are compressed with that is not read here, by their first bytes, in hexadecimal digits. */
const OTHERS: Readonly<Record<string, string>> = { "425a68": "bzip2", fd377a585a00: "xz" };

/**
 * The files of an archive, as `ADD` unpacks it: tar, as it is or compressed with gzip or zstd. Undefined for a file that
 * is none.
 *
 * @param name of the file, for sentences
 * @throws UruncError `not-supported` for an archive that is compressed otherwise, `layer-invalid` for a damaged one
 */
export async function unpackArchive(
  content: Content,
  name: string,
  contents: ContentStore,
  signal: AbortSignal,
): Promise<Directory | undefined> {
  const bytes = async function* () {
    yield* contents.readAll(content);
  };
  const start = await firstBytes(bytes(), 6);
  const other = Object.entries(OTHERS).find(([magic]) => start.toString("hex").startsWith(magic))?.[1];
  // Without its decoder only the name says that there is an archive in it.
  if (other !== undefined && /\.(?:tar\.[a-z0-9]+|t[bx]z2?|tbz)$/i.test(name)) {
    throw new UruncError(
      "not-supported",
      `${name} is compressed with ${other}: archives are unpacked that are compressed with gzip, zstd or not at all`,
    );
  }
  if (!(await isArchive(bytes()))) return undefined;
  try {
    return await treeOfLayers([bytes()], contents, { signal });
  } catch (error) {
    if (!(error instanceof UruncError) || error.code !== "layer-invalid") throw error;
    const sentence = error.message.replace(/^layer 1 of 1: the layer /, "it ");
    throw new UruncError("build", `the archive ${name} cannot be unpacked: ${sentence}`, { cause: error });
  }
}

/** As Docker tells it: by the first header, with its checksum. */
async function isArchive(bytes: AsyncIterable<Uint8Array>): Promise<boolean> {
  try {
    const block = await firstBytes(decompress(bytes), TAR_BLOCK);
    return block.length === TAR_BLOCK && decodeHeader(block) !== undefined;
  } catch (error) {
    if (error instanceof UruncError && error.code === "layer-invalid") return false;
    throw error;
  }
}

async function firstBytes(parts: AsyncIterable<Uint8Array>, count: number): Promise<Buffer> {
  const found: Buffer[] = [];
  let length = 0;
  for await (const part of parts) {
    found.push(Buffer.from(part));
    length += part.length;
    if (length >= count) break;
  }
  return Buffer.concat(found).subarray(0, count);
}
