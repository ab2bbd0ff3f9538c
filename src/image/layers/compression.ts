import { Readable } from "node:stream";
import { createGunzip, createZstdDecompress } from "node:zlib";
import { UruncError } from "../../errors.ts";

const GZIP = Buffer.from([0x1f, 0x8b]);
const ZSTD = Buffer.from([0x28, 0xb5, 0x2f, 0xfd]);
/** Of a frame that zstd passes over; the first half byte is any. */
const ZSTD_SKIPPABLE = Buffer.from([0x2a, 0x4d, 0x18]);
/** As many bytes tell. */
const MAGIC = 4;
/** Bytes that a decoder gives at a time: with fewer the calls cost more than the work. */
const PART = 1 << 17;

/**
 * A layer's tar, whatever it is compressed with. That is told by its first bytes and not by its media type: images
 * exist that say the wrong thing, and engines read them.
 *
 * @param layer gzip, zstd or neither
 * @returns its parts, each valid until the next is asked for
 * @throws UruncError `layer-invalid`, while it is read, if the compressed data is damaged
 */
export async function* decompress(layer: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const parts = layer[Symbol.asyncIterator]();
  let source: { error: unknown } | undefined;
  const whole = async function* (start: Uint8Array) {
    if (start.length > 0) yield start;
    try {
      for (let next = await parts.next(); !next.done; next = await parts.next()) yield next.value;
    } catch (error) {
      source = { error };
      throw error;
    }
  };
  try {
    const start = await startOf(parts);
    const decoder = decoderOf(start);
    if (decoder === undefined) {
      yield* whole(start);
      return;
    }
    const input = Readable.from(copies(whole(start)), { objectMode: false });
    // A pipe does not carry errors over.
    input.once("error", (error) => decoder.destroy(error));
    try {
      for await (const part of input.pipe(decoder)) yield part;
    } catch (error) {
      // Not the decoder's error but that of whoever gives the layer.
      if (source !== undefined) throw source.error;
      const reason = error instanceof Error ? error.message : String(error);
      throw new UruncError("layer-invalid", `the layer cannot be decompressed: ${reason}`, { cause: error });
    } finally {
      input.destroy();
    }
  } finally {
    // Whoever gives the layer may end.
    await parts.return?.();
  }
}

/** The first parts together, as many as are needed to tell what it is. */
async function startOf(parts: AsyncIterator<Uint8Array>): Promise<Uint8Array> {
  let start = Buffer.alloc(0);
  while (start.length < MAGIC) {
    const next = await parts.next();
    if (next.done) break;
    start = Buffer.concat([start, next.value]);
  }
  return start;
}

/** A pipe reads ahead, and who gives the parts may use their bytes again. */
async function* copies(parts: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer> {
  for await (const part of parts) yield Buffer.from(part);
}

function decoderOf(layer: Uint8Array) {
  const start = Buffer.from(layer.subarray(0, MAGIC));
  const isSkippable = ((start[0] ?? 0) & 0xf0) === 0x50 && start.subarray(1).equals(ZSTD_SKIPPABLE);
  if (start.subarray(0, 2).equals(GZIP)) return createGunzip({ chunkSize: PART });
  // Its end is not asked for: of a layer that is cut off there, the archive lacks something, or the digest is wrong.
  if (start.equals(ZSTD) || isSkippable) return createZstdDecompress({ chunkSize: PART });
  return undefined;
}
