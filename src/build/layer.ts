import { createReadStream } from "node:fs";
import { createGzip, type Gzip } from "node:zlib";
import { UruncError } from "../errors.ts";
import type { ContentStore } from "../image/layers/content.ts";
import { HARD_LINK, TAR_END, tarEntry, tarFile, tarPadding } from "../image/layers/tar-writer.ts";
import { type ByteString, type Inode, type Metadata, shown } from "../image/layers/tree.ts";
import type { Descriptor } from "../image/spec/manifest.ts";
import { OCI_LAYER } from "../image/spec/media-type.ts";
import type { Chunks } from "../image/spec/verify.ts";
import type { Layout } from "../image/store/layout.ts";
import { writeBlob } from "./blob.ts";
import { type LayerEntry, plainMetadata } from "./entry.ts";

/** A layer of an image that is built. */
export interface BuiltLayer {
  descriptor: Descriptor;
  /** Of the tar, not compressed. */
  diffId: string;
}

export interface LayerOptions {
  /** Where the content of entries of the kind `inode` is. */
  contents?: ContentStore;
  /** Seconds since 1970 that no file is newer than: `SOURCE_DATE_EPOCH`. */
  time?: number;
  signal?: AbortSignal;
}

/** Bytes that are hashed and compressed at a time. */
const CHUNK = 1 << 18;
const WHITEOUT = ".wh.";
const OPAQUE = ".wh..wh..opq";

/**
 * Writes a layer into a store: a tar of the entries in their order, compressed with gzip. The same entries give the same
 * bytes. The caller keeps `Layout.using` around it.
 *
 * @throws UruncError `file-system` for a file that a layer cannot hold or whose size changes, `store` if there is no
 *   room; the signal's reason. Nothing is left in the store then
 */
export async function writeLayer(
  layout: Layout,
  entries: Iterable<LayerEntry> | AsyncIterable<LayerEntry>,
  options: LayerOptions = {},
): Promise<BuiltLayer> {
  const hasher = new Bun.CryptoHasher("sha256");
  const tar = gathered(archive(entries, options), (chunk) => {
    options.signal?.throwIfAborted();
    hasher.update(chunk);
  });
  const blob = await writeBlob(layout, compressed(tar));
  return {
    descriptor: { mediaType: `${OCI_LAYER}+gzip`, ...blob },
    diffId: `sha256:${hasher.digest("hex")}`,
  };
}

/** The archive in parts, each valid until the next is asked for. */
async function* archive(
  entries: Iterable<LayerEntry> | AsyncIterable<LayerEntry>,
  { contents, time }: LayerOptions,
): AsyncGenerator<Uint8Array> {
  const clamped = <M extends Metadata>(inode: M): M =>
    time === undefined || inode.mtime.seconds < time
      ? inode
      : { ...inode, mtime: { seconds: time, nanoseconds: 0 } };
  const first = new Map<Inode, ByteString>();
  for await (const entry of entries) {
    const { path } = entry;
    const words = path === "" ? [] : path.split("/");
    if (words.length === 0 && !isOfRoot(entry)) {
      throw new UruncError("internal", "the layer has an entry without a path that is no directory");
    }
    if (path.includes("\0") || words.some((word) => word === "" || word === "." || word === "..")) {
      throw new UruncError("internal", `the layer's entry ${shown(path)} is not relative without . and ..`);
    }
    if (words.some((word) => word.startsWith(WHITEOUT))) {
      throw cannotHold(path, `names that begin with ${WHITEOUT} mean in a layer that something is removed`);
    }
    switch (entry.kind) {
      case "whiteout":
        yield* mark([...words.slice(0, -1), `${WHITEOUT}${words.at(-1)}`], clamped);
        break;
      case "opaque":
        yield* mark([...words, OPAQUE], clamped);
        break;
      case "bytes": {
        const inode = clamped({ ...entry.metadata, kind: "file" as const });
        yield* tarEntry(inode, path, { size: entry.bytes.length });
        yield entry.bytes;
        yield tarPadding(entry.bytes.length);
        break;
      }
      case "host-file": {
        const inode = clamped({ ...entry.metadata, kind: "file" as const });
        yield* tarEntry(inode, path, { size: entry.size });
        yield* hostFile(entry.source, entry.size);
        yield tarPadding(entry.size);
        break;
      }
      case "inode": {
        const target = first.get(entry.inode);
        const inode = clamped(entry.inode);
        if (target !== undefined) {
          yield* tarEntry(inode, path, { type: HARD_LINK, target, xattrs: false });
          break;
        }
        if (inode.kind !== "directory") first.set(entry.inode, path);
        if (inode.kind === "file") {
          if (contents === undefined) {
            throw new UruncError("internal", `nobody has the content of the layer's file ${shown(path)}`);
          }
          yield* tarFile(inode, inode.content, path, contents);
        } else if (inode.kind === "link") {
          yield* tarEntry(inode, path, { target: inode.target });
        } else {
          yield* tarEntry(inode, inode.kind === "directory" ? `${path || "."}/` : path, {});
        }
        break;
      }
    }
  }
  yield TAR_END;
}

function isOfRoot(entry: LayerEntry): boolean {
  return entry.kind === "opaque" || (entry.kind === "inode" && entry.inode.kind === "directory");
}

function* mark(
  words: readonly ByteString[],
  clamped: <M extends Metadata>(inode: M) => M,
): Generator<Uint8Array> {
  yield* tarEntry(clamped({ ...plainMetadata(0o600), kind: "file" as const }), words.join("/"), {});
}

async function* hostFile(path: string, size: number): AsyncGenerator<Uint8Array> {
  let read = 0;
  try {
    for await (const chunk of createReadStream(path, { highWaterMark: CHUNK }) as AsyncIterable<Uint8Array>) {
      read += chunk.length;
      if (read > size) break;
      yield chunk;
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).syscall === undefined) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new UruncError("file-system", `cannot read ${path}: ${reason}`, { cause: error });
  }
  if (read !== size) {
    throw new UruncError(
      "file-system",
      `${path} changed while it was read: build again when nobody writes it`,
    );
  }
}

/** Parts put together to larger ones: each is a copy, and handed to `see` before it goes on. */
async function* gathered(parts: Chunks, see: (chunk: Uint8Array) => void): AsyncGenerator<Uint8Array> {
  let buffer = Buffer.allocUnsafe(CHUNK);
  let filled = 0;
  for await (const part of parts) {
    for (let at = 0; at < part.length; ) {
      const length = Math.min(part.length - at, CHUNK - filled);
      buffer.set(part.subarray(at, at + length), filled);
      at += length;
      filled += length;
      if (filled < CHUNK) continue;
      see(buffer);
      yield buffer;
      buffer = Buffer.allocUnsafe(CHUNK);
      filled = 0;
    }
  }
  if (filled === 0) return;
  see(buffer.subarray(0, filled));
  yield buffer.subarray(0, filled);
}

/** gzip, RFC 1952: no name and the time 0, so that the same content gives the same bytes. */
async function* compressed(chunks: Chunks): AsyncGenerator<Uint8Array> {
  const gzip = createGzip();
  const feeding = feed(gzip, chunks).catch((error) => gzip.destroy(error as Error));
  try {
    for await (const chunk of gzip) yield chunk as Uint8Array;
    await feeding;
  } finally {
    gzip.destroy();
  }
}

async function feed(gzip: Gzip, chunks: Chunks): Promise<void> {
  for await (const chunk of chunks) {
    if (gzip.destroyed) return;
    if (!gzip.write(chunk)) await drained(gzip);
  }
  gzip.end();
}

/** Waits until there is room again, or nobody reads any more. */
function drained(gzip: Gzip): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  gzip.on("drain", resolve).on("close", resolve);
  return promise.finally(() => gzip.off("drain", resolve).off("close", resolve));
}

function cannotHold(path: ByteString, what: string): UruncError {
  return new UruncError("file-system", `an image's layer cannot hold ${shown(path)}: ${what}`);
}
