import { Readable } from "node:stream";
import { createGunzip, createZstdDecompress } from "node:zlib";
import { UruncError } from "../../errors.ts";
import { ByteReader } from "./byte-reader.ts";

const GZIP = Buffer.from([0x1f, 0x8b]);
const ZSTD = Buffer.from([0x28, 0xb5, 0x2f, 0xfd]);
/** Of a frame that zstd passes over; the first half byte is any. */
const ZSTD_SKIPPABLE = Buffer.from([0x2a, 0x4d, 0x18]);

/**
 * A layer's tar, whatever it is compressed with. That is told by its first bytes and not by its media type: images
 * exist that say the wrong thing, and engines read them.
 *
 * @param layer gzip, zstd or neither
 * @throws UruncError `layer-invalid`, while it is read, if the compressed data is damaged
 */
export async function* decompress(layer: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const reader = new ByteReader(layer);
  let source: Error | undefined;
  try {
    const start = Buffer.from(await reader.take(4));
    const whole = async function* () {
      if (start.length > 0) yield start;
      try {
        for (;;) {
          const part = await reader.takeSome(1 << 20);
          if (part.length === 0) return;
          yield part;
        }
      } catch (error) {
        source = error instanceof Error ? error : new Error(String(error));
        throw error;
      }
    };
    const decoder = decoderOf(start);
    if (decoder === undefined) {
      yield* whole();
      return;
    }
    const input = Readable.from(copies(whole()), { objectMode: false });
    // A pipe does not carry errors over.
    input.once("error", (error) => decoder.destroy(error));
    try {
      for await (const part of input.pipe(decoder)) yield part;
    } catch (error) {
      // Not the decoder's error but that of whoever gives the layer.
      if (source !== undefined) throw source;
      const reason = error instanceof Error ? error.message : String(error);
      throw new UruncError("layer-invalid", `the layer cannot be decompressed: ${reason}`, { cause: error });
    } finally {
      input.destroy();
    }
  } finally {
    await reader.close();
  }
}

/** A pipe reads ahead, and who gives the parts may use their bytes again. */
async function* copies(parts: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer> {
  for await (const part of parts) yield Buffer.from(part);
}

function decoderOf(start: Buffer) {
  if (start.subarray(0, 2).equals(GZIP)) return createGunzip();
  const isSkippable = ((start[0] ?? 0) & 0xf0) === 0x50 && start.subarray(1).equals(ZSTD_SKIPPABLE);
  // Its end is not asked for: of a layer that is cut off there, the archive lacks something, or the digest is wrong.
  if (start.equals(ZSTD) || isSkippable) return createZstdDecompress();
  return undefined;
}
