import { createReadStream } from "node:fs";
import { treeOfCpio } from "../image/cpio-reader.ts";
import { decompress } from "../image/layers/compression.ts";
import type { ContentStore } from "../image/layers/content.ts";
import type { Directory } from "../image/layers/tree.ts";
import type { Chunks } from "../image/spec/verify.ts";
import type { FileBytes } from "./workshop.ts";

/**
 * Reads an initrd as a tree: a cpio archive, as it is or compressed with gzip or zstd.
 *
 * @throws UruncError `layer-invalid` for what is none
 */
export async function initrdTree(file: FileBytes, contents: ContentStore): Promise<Directory> {
  const bytes =
    file.kind === "host"
      ? (createReadStream(file.path, { highWaterMark: 1 << 20 }) as Chunks)
      : keptParts(file.file.content, contents);
  return treeOfCpio(decompress(bytes), contents);
}

async function* keptParts(
  content: Parameters<ContentStore["readAll"]>[0],
  contents: ContentStore,
): AsyncGenerator<Uint8Array> {
  for (const part of contents.readAll(content)) yield Buffer.from(part);
}
