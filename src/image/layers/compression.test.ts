import { expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { decompress } from "./compression.ts";

/** As files are read: each part in the place of the one before. */
async function* inOneBuffer(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  const buffer = Buffer.alloc(64 << 10);
  for (let at = 0; at < bytes.length; at += buffer.length) {
    const part = bytes.subarray(at, at + buffer.length);
    buffer.set(part);
    yield buffer.subarray(0, part.length);
  }
}

test("a layer whose parts are read into one buffer is whole, however it is compressed", async () => {
  const layer = randomBytes(4 << 20);
  for (const compressed of [layer, gzipSync(layer), zstdCompressSync(layer)]) {
    const parts: Buffer[] = [];
    for await (const part of decompress(inOneBuffer(compressed))) parts.push(Buffer.from(part));
    expect(Buffer.concat(parts).equals(layer)).toBe(true);
  }
});
