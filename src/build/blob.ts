import { randomUUID } from "node:crypto";
import { mkdirSync, rmSync } from "node:fs";
import { type FileHandle, open, rename } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Chunks } from "../image/spec/verify.ts";
import { writeAll, writeError } from "../image/store/file.ts";
import type { Layout } from "../image/store/layout.ts";

/**
 * Writes content into a store whose digest is known only once it is there. The caller keeps {@link Layout.using} around
 * it. Whatever ends this, a name is never given to content that is not whole; what a kill leaves is in `ingest/`, which
 * `bunny prune` empties.
 *
 * @returns `sha256:…` and bytes
 * @throws UruncError `store` if it cannot be written; what the content itself throws
 */
export async function writeBlob(
  layout: Layout,
  content: Chunks | Iterable<Uint8Array>,
): Promise<{ digest: string; size: number }> {
  const partial = join(layout.directory, "ingest", `new-${randomUUID()}`);
  let file: FileHandle | undefined;
  try {
    file = await openNew(partial);
    const hasher = new Bun.CryptoHasher("sha256");
    let size = 0;
    for await (const chunk of content) {
      hasher.update(chunk);
      await writeAll(file, chunk);
      size += chunk.length;
    }
    const digest = `sha256:${hasher.digest("hex")}`;
    if (!layout.has({ digest, size })) {
      const blob = layout.blobPath(digest);
      mkdirSync(dirname(blob), { recursive: true });
      await rename(partial, blob);
    }
    return { digest, size };
  } catch (error) {
    throw writeError(error, layout.directory);
  } finally {
    await file?.close();
    rmSync(partial, { force: true });
    layout.tidy();
  }
}

async function openNew(path: string): Promise<FileHandle> {
  for (;;) {
    mkdirSync(dirname(path), { recursive: true });
    try {
      return await open(path, "wx", 0o644);
    } catch (error) {
      // The directory was tidied away in between.
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    }
  }
}
