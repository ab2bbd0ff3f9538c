import { statSync } from "node:fs";
import { basename, join } from "node:path";
import { UruncError } from "../errors.ts";
import { readImageWish } from "../rootfs/image-files.ts";
import { fileSystemIn } from "../rootfs/superblock.ts";
import { bringsRoot, IMAGE_PREFIX, type ImageWish } from "../rootfs/wish.ts";
import { bootsDirect } from "./direct-boot.ts";
import type { Root } from "./roots.ts";

/** What a machine is booted from, as `machineSpec` has it. */
export interface BootSource {
  /** A file system; undefined: it is what the bundle's root says. */
  readonly root?: string;
  /** The bundle's root; undefined: its own directory. */
  readonly rootfs?: string;
  readonly annotations?: Readonly<Record<string, string>>;
  /** Files, and directories whose files, the machine is to have as its own, in its bundle. */
  readonly copied?: readonly string[];
}

/**
 * What a machine of an image is booted from. The runtime finds what the image brings where it looks under Docker, too: in
 * the bundle's root. With the agent whatever file system becomes the machine's root is not written to, so that machines
 * share it; without it each has a copy.
 *
 * @param annotations `bootAnnotations` of the image
 * @throws UruncError for what the runtime would refuse
 */
export function bootSource(
  { path, brought }: Pick<Root, "path" | "brought">,
  annotations: Record<string, string>,
): BootSource {
  const wish = brought === undefined ? undefined : readImageWish(annotations, brought);
  if (brought === undefined || wish === undefined) return { root: path };
  const isDirect = bootsDirect(wish, brought);
  if (isDirect && !bringsRoot(wish) && wish.block === undefined) {
    const own = { block: `/${basename(path)}`, blkMntPoint: "/", mountRootfs: "false" };
    const named = Object.entries(own).map(([key, value]) => [IMAGE_PREFIX + key, value]);
    return { copied: [brought, path], annotations: { ...annotations, ...Object.fromEntries(named) } };
  }
  const isWritten = wish.block !== undefined && (isDirect || wish.block.mountPoint !== "/");
  const root = bringsRoot(wish) ? (isDirect ? undefined : rootBlock(wish, brought)) : path;
  return {
    ...(root === undefined ? {} : { root }),
    ...(isWritten ? { copied: [brought] } : { rootfs: brought }),
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
 * Copies files, and what is in directories, without the room that zeros would take.
 *
 * @param to a directory that is there
 * @throws UruncError `file-system`
 */
export async function copyFiles(from: readonly string[], to: string): Promise<void> {
  const sources = from.map((path) => (statSync(path).isDirectory() ? `${path}/.` : path));
  const child = Bun.spawn(["cp", "--recursive", "--sparse=always", "--reflink=auto", ...sources, to], {
    stdin: "ignore",
    stdout: "ignore",
    stderr: "pipe",
  });
  const said = await new Response(child.stderr).text();
  if ((await child.exited) === 0) return;
  throw new UruncError("file-system", `cannot copy the image's files to ${to}: ${said.trim()}`);
}
