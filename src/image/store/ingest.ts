import { mkdirSync, rmSync, statSync } from "node:fs";
import { type FileHandle, open as openFile, rename } from "node:fs/promises";
import { dirname, join } from "node:path";
import { parseDigest } from "../spec/digest.ts";
import type { Descriptor } from "../spec/manifest.ts";
import { ContentError, Verifier } from "../spec/verify.ts";
import { readFilePart, writeAll } from "./file.ts";
import { waitForLock } from "./flock.ts";
import type { Layout, Opener } from "./layout.ts";

/** Where a blob is until it is whole; the file's lock is its writer's. */
export function partialPath(layout: Layout, digest: string): string {
  const { algorithm, encoded } = parseDigest(digest);
  return join(layout.directory, "ingest", `${algorithm}-${encoded}`);
}

/** Brings a blob into a layout: see {@link Layout.addBlob}. */
export async function ingest(
  layout: Layout,
  descriptor: Descriptor,
  open: Opener,
  onProgress: (bytes: number) => void,
): Promise<"present" | "added"> {
  const path = partialPath(layout, descriptor.digest);
  const file = await openAlone(path);
  try {
    // While we waited for its lock, somebody else may have finished it.
    if (layout.has(descriptor)) {
      rmSync(path, { force: true });
      return "present";
    }
    try {
      await fill(file, path, descriptor, open, onProgress);
    } catch (error) {
      // What cannot become right is not continued, and of nothing there is nothing to continue.
      if (error instanceof ContentError || (await file.stat()).size === 0) rmSync(path, { force: true });
      throw error;
    }
    const blob = layout.blobPath(descriptor.digest);
    mkdirSync(dirname(blob), { recursive: true });
    await rename(path, blob);
    return "added";
  } finally {
    await file.close();
  }
}

/** Opens the file and takes its lock; again if it was renamed or removed before we had that. */
async function openAlone(path: string): Promise<FileHandle> {
  for (;;) {
    let file: FileHandle;
    try {
      mkdirSync(dirname(path), { recursive: true });
      file = await openFile(path, "a+", 0o644);
    } catch (error) {
      // The directory was tidied away in between.
      if ((error as NodeJS.ErrnoException).code === "ENOENT") continue;
      throw error;
    }
    await waitForLock(file.fd, "exclusive");
    if (statSync(path, { throwIfNoEntry: false })?.ino === (await file.stat()).ino) return file;
    await file.close();
  }
}

/** Continues what is there; from the start again if that leads to a wrong content. */
async function fill(
  file: FileHandle,
  path: string,
  descriptor: Descriptor,
  open: Opener,
  onProgress: (bytes: number) => void,
): Promise<void> {
  const { size } = await file.stat();
  if (size > 0 && size <= descriptor.size) {
    try {
      const verifier = new Verifier(descriptor);
      for await (const chunk of readFilePart(path, 0)) verifier.update(chunk);
      onProgress(verifier.size);
      return await receive(file, verifier, descriptor, open, onProgress);
    } catch (error) {
      if (!(error instanceof ContentError)) throw error;
      onProgress(-(await file.stat()).size);
    }
  }
  await file.truncate(0);
  await receive(file, new Verifier(descriptor), descriptor, open, onProgress);
}

async function receive(
  file: FileHandle,
  verifier: Verifier,
  descriptor: Descriptor,
  open: Opener,
  onProgress: (bytes: number) => void,
): Promise<void> {
  if (verifier.size < descriptor.size) {
    for await (const chunk of open(verifier.size)) {
      verifier.update(chunk);
      await writeAll(file, chunk);
      onProgress(chunk.length);
    }
  }
  verifier.finish();
}
