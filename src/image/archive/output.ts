import { rmSync } from "node:fs";
import { type FileHandle, open, rename } from "node:fs/promises";
import { UruncError } from "../../errors.ts";
import { writeAll, writeError } from "../store/file.ts";
import type { ArchiveOutput } from "./docker-archive.ts";

/** A file that has its name only once it is whole. */
export async function fileOutput(path: string): Promise<ArchiveOutput> {
  const partial = `${path}.${process.pid}.partial`;
  let file: FileHandle | undefined;
  try {
    file = await open(partial, "w", 0o644);
  } catch (cause) {
    throw new UruncError("store", `cannot write ${path}: ${(cause as Error).message}`, { cause });
  }
  return {
    async write(chunk) {
      try {
        await writeAll(file as FileHandle, chunk);
      } catch (error) {
        throw writeError(error, path);
      }
    },
    async finish() {
      await file?.close();
      file = undefined;
      await rename(partial, path);
    },
    async close() {
      await file?.close();
      rmSync(partial, { force: true });
    },
  };
}

/**
 * Standard output.
 *
 * @throws UruncError `usage` for a terminal
 */
export function standardOutput(): ArchiveOutput {
  if (process.stdout.isTTY) {
    throw new UruncError(
      "usage",
      "an image is not written to a terminal: send standard output to a file or a program",
    );
  }
  // Whoever writes hears of it.
  process.stdout.on("error", () => {});
  return {
    write: (chunk) =>
      new Promise((resolve, reject) => {
        // It may be written later, and the reader's buffer is used again.
        process.stdout.write(Buffer.from(chunk), (error) => (error ? reject(brokenPipe(error)) : resolve()));
      }),
    async finish() {},
    async close() {},
  };
}

function brokenPipe(cause: Error): UruncError {
  return new UruncError("store", `cannot write to standard output: ${cause.message}`, { cause });
}
