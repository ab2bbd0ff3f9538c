import { randomUUID } from "node:crypto";
import { mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { UruncError } from "../../errors.ts";
import type { ContentStore } from "../layers/content.ts";
import { tarOfTree } from "../layers/tar-writer.ts";
import type { Directory } from "../layers/tree.ts";
import type { Written } from "./result.ts";

/** Of tar's own words, what an error shows. */
const SHOWN = 500;

/**
 * Writes a tree as files of this system, with owners, devices, times and extended attributes; it takes root. GNU tar
 * does it, from an archive of ours that has no entry through a link. The directory is there whole or not at all.
 *
 * @param path a directory that is not there, or is empty
 * @throws UruncError `file-system` if it is not root who asks, if the directory is not empty, or what tar says; the
 *   signal's reason
 */
export async function writeDirectory(
  tree: Directory,
  store: ContentStore,
  path: string,
  signal?: AbortSignal,
): Promise<Written> {
  if (process.geteuid?.() !== 0) {
    throw new UruncError(
      "file-system",
      `files in ${path} cannot have their owners unless root writes them: run it as root, or write an image instead`,
    );
  }
  const target = resolve(path);
  checkEmpty(path);
  const partial = join(dirname(target), `.${basename(target)}.${randomUUID().slice(0, 8)}.partial`);
  try {
    mkdirSync(partial, { mode: 0o700 });
    await unpack(tree, store, partial, signal);
    renameSync(partial, target);
  } catch (error) {
    rmSync(partial, { recursive: true, force: true });
    if (error instanceof UruncError || signal?.aborted) throw error;
    throw cannotWrite(path, error instanceof Error ? error.message : String(error));
  }
  return { bytes: store.position, losses: [] };
}

function checkEmpty(path: string): void {
  let names: string[];
  try {
    names = readdirSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return;
    throw cannotWrite(path, error instanceof Error ? error.message : String(error));
  }
  if (names.length > 0) throw cannotWrite(path, "it is not empty");
}

async function unpack(
  tree: Directory,
  store: ContentStore,
  directory: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  const argv = ["tar", "--extract", "--file=-", `--directory=${directory}`, "--preserve-permissions"];
  argv.push("--same-owner", "--numeric-owner", "--xattrs", "--xattrs-include=*", "--delay-directory-restore");
  // Times are as they are.
  argv.push("--warning=no-timestamp");
  const child = Bun.spawn(argv, {
    // Names are bytes.
    env: { PATH: process.env["PATH"] ?? "/usr/bin:/bin", LC_ALL: "C" },
    stdin: "pipe",
    stdout: "ignore",
    stderr: "pipe",
  });
  const words = new Response(child.stderr).text();
  try {
    for (const part of tarOfTree(tree, store)) {
      signal?.throwIfAborted();
      child.stdin.write(part);
      await child.stdin.flush();
    }
    await child.stdin.end();
  } catch (error) {
    // It ended before its input did: its own words say why.
    if ((error as NodeJS.ErrnoException).code !== "EPIPE") {
      child.kill();
      await child.exited;
      throw error;
    }
  }
  const status = await child.exited;
  if (status !== 0) throw new Error((await words).trim().slice(0, SHOWN) || `tar ended with ${status}`);
}

function cannotWrite(path: string, reason: string): UruncError {
  return new UruncError("file-system", `cannot write the files to ${path}: ${reason}`);
}
