import { type FileHandle, open } from "node:fs/promises";
import { UruncError } from "../../errors.ts";
import type { Chunks } from "../spec/verify.ts";

/** Bytes that are read at a time. */
const CHUNK = 512 * 1024;

/** Part of a file, with bounded memory. What is read of it holds only until the next is asked for. */
export async function* readFilePart(path: string, offset: number, size = Number.POSITIVE_INFINITY): Chunks {
  let file: FileHandle;
  try {
    file = await open(path, "r");
  } catch (cause) {
    throw new UruncError("store", `cannot read ${path}: ${(cause as Error).message}`, { cause });
  }
  try {
    const buffer = Buffer.allocUnsafe(Math.min(CHUNK, Math.max(size, 1)));
    let position = offset;
    let left = size;
    while (left > 0) {
      const { bytesRead } = await file.read(buffer, 0, Math.min(buffer.length, left), position);
      if (bytesRead === 0) return;
      position += bytesRead;
      left -= bytesRead;
      yield buffer.subarray(0, bytesRead);
    }
  } finally {
    await file.close();
  }
}

/** Writes the whole of a piece. */
export async function writeAll(file: FileHandle, chunk: Uint8Array): Promise<void> {
  let written = 0;
  while (written < chunk.length) {
    written += (await file.write(chunk, written, chunk.length - written)).bytesWritten;
  }
}

/** What a failing system call is to the user, a full disk above all; other errors as they are. */
export function writeError(error: unknown, path: string): unknown {
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  if (code === "ENOSPC" || code === "EDQUOT") {
    return new UruncError("store", `no space is left where ${path} is written: free some and try again`, {
      cause: error,
    });
  }
  if ((error as NodeJS.ErrnoException | undefined)?.syscall !== undefined) {
    return new UruncError("store", `cannot write ${path}: ${(error as Error).message}`, { cause: error });
  }
  return error;
}
