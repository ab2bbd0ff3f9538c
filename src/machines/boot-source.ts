import { statSync } from "node:fs";
import { join } from "node:path";
import { UruncError } from "../errors.ts";
import { readImageWish } from "../rootfs/image-files.ts";
import { fileSystemIn } from "../rootfs/superblock.ts";
import { bringsRoot, type ImageWish } from "../rootfs/wish.ts";
import type { Root } from "./roots.ts";

/** What a machine is booted from, as `machineSpec` has it. */
export interface BootSource {
  /** A file system; undefined: it is what the bundle's root says. */
  readonly root?: string;
  /** The bundle's root; undefined: its own directory. */
  readonly rootfs?: string;
  readonly annotations?: Readonly<Record<string, string>>;
  /** A directory whose files the machine is to have as its own, in its bundle. */
  readonly copied?: string;
}

/**
 * What a machine of an image is booted from. The runtime finds what the image brings where it looks under Docker, too: in
 * the bundle's root. Whatever file system becomes the machine's root is not written to, so that machines share it.
 *
 * @param annotations `bootAnnotations` of the image
 */
export function bootSource(
  { path, brought }: Pick<Root, "path" | "brought">,
  annotations: Record<string, string>,
): BootSource {
  const wish = brought === undefined ? undefined : readImageWish(annotations, brought);
  if (brought === undefined || wish === undefined) return { root: path };
  const root = bringsRoot(wish) ? rootBlock(wish, brought) : path;
  const isVolume = wish.block !== undefined && wish.block.mountPoint !== "/";
  return {
    ...(root === undefined ? {} : { root }),
    ...(isVolume ? { copied: brought } : { rootfs: brought }),
    annotations,
  };
}

/** The file that is the root; undefined for an initrd, and for what the runtime refuses with a better sentence. */
function rootBlock({ block }: ImageWish, brought: string): string | undefined {
  if (block?.mountPoint !== "/") return undefined;
  const file = join(brought, block.path);
  const isThere = statSync(file, { throwIfNoEntry: false })?.isFile() === true;
  return isThere && fileSystemIn(file) !== undefined ? file : undefined;
}

/**
 * Copies a directory, without the room that zeros would take.
 *
 * @param to a directory that is there
 * @throws UruncError `file-system`
 */
export async function copyFiles(from: string, to: string): Promise<void> {
  const child = Bun.spawn(["cp", "--recursive", "--sparse=always", "--reflink=auto", `${from}/.`, to], {
    stdin: "ignore",
    stdout: "ignore",
    stderr: "pipe",
  });
  const said = await new Response(child.stderr).text();
  if ((await child.exited) === 0) return;
  throw new UruncError("file-system", `cannot copy the image's files to ${to}: ${said.trim()}`);
}
