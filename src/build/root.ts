import { statSync } from "node:fs";
import { join } from "node:path";
import { addsUrunit, type ImagePlan, URUNIT_PATH } from "../bunnyfile/plan.ts";
import { wrongAt } from "../bunnyfile/position.ts";
import { UruncError } from "../errors.ts";
import { writeExt4 } from "../image/filesystem/ext4.ts";
import { writeInitrd } from "../image/filesystem/initrd.ts";
import { losses } from "../image/filesystem/losses.ts";
import type { Written } from "../image/filesystem/result.ts";
import { bytesOf, type Directory, placesOf, plainDirectory } from "../image/layers/tree.ts";
import type { BaseImage } from "./base.ts";
import { nameOf } from "./context.ts";
import type { LayerEntry } from "./entry.ts";
import { addToBlock } from "./ext4-additions.ts";
import { guestFileSize } from "./guest-files.ts";
import { initrdTree } from "./initrd-tree.ts";
import { addedTo, inodesOf, place } from "./placement.ts";
import type { FileBytes, Workshop } from "./workshop.ts";

/** The root file system that a plan's machine has. */
export interface MachineRoot {
  base?: BaseImage;
  /** Our init is in it. */
  urunit: boolean;
  /** All of it; undefined for a block image that is there. */
  tree(): Promise<Directory | undefined>;
  /** What is put on the base's layers, if the image's own files are the root. */
  added(): Promise<LayerEntry[]>;
  /**
   * The root as one file, made as it is asked for.
   *
   * @param path where it may be made
   */
  file(form: "initrd" | "block", path: string): Promise<FileBytes>;
}

/** Finds out what the root of a plan's machine is. Nothing is unpacked before it is asked for. */
export async function machineRoot(plan: ImagePlan, workshop: Workshop): Promise<MachineRoot> {
  const { rootfs } = plan;
  const reference = rootfs.kind === "raw" || rootfs.kind === "made" ? rootfs.base : undefined;
  const image = reference === undefined ? undefined : await workshop.imageFiles(reference);
  const urunit = addsUrunit(plan, image?.labels ?? {});
  const unpacked = async () => (image === undefined ? plainDirectory() : image.unpack());
  let made: Promise<Directory | undefined> | undefined;
  const make = async () => {
    const root = rootfs.kind === "file" ? await prebuiltTree(plan, workshop) : await unpacked();
    if (root === undefined) return undefined;
    await placeIncludes(root, plan, workshop);
    if (urunit && rootfs.kind !== "file") placeUrunit(root, workshop);
    clamp(root, workshop.options.time);
    return root;
  };
  const tree = () => {
    made ??= make();
    return made;
  };
  return {
    ...(image?.base === undefined ? {} : { base: image.base }),
    urunit,
    tree,
    async added() {
      if (plan.includes.length === 0) return [];
      const root = await unpacked();
      const before = inodesOf(root);
      await placeIncludes(root, plan, workshop);
      return addedTo(root, before);
    },
    async file(form, path) {
      if (rootfs.kind === "file" && rootfs.type === form) {
        const source = await prebuiltFile(plan, workshop);
        if (plan.includes.length === 0) return source;
        if (form === "block") return addToBlock(source, path, plan, workshop);
      }
      const root = await tree();
      if (root === undefined) {
        throw new UruncError(
          "not-supported",
          "a block image that is there cannot be made to another form: mount it",
        );
      }
      return writeRoot(root, form, path, plan, workshop);
    },
  };
}

async function placeIncludes(root: Directory, plan: ImagePlan, workshop: Workshop): Promise<void> {
  for (const { source, destination } of plan.includes) {
    const inode = await workshop.findAny(source);
    try {
      place(root, inode, nameOf(source.path.value), bytesOf(destination.value));
    } catch (error) {
      if (!(error instanceof UruncError) || error.code === "file-system") throw error;
      throw wrongAt(plan.name, destination.at, error.message, error);
    }
  }
}

function placeUrunit(root: Directory, workshop: Workshop): void {
  const { guest, context, contents, signal } = workshop.options;
  const path = guest.urunit;
  const file = { path, size: guestFileSize(path), isDirectory: false, mode: 0o755 };
  place(root, context.read(file, contents, signal), nameOf(URUNIT_PATH), bytesOf(URUNIT_PATH));
}

function clamp(root: Directory, time: number | undefined): void {
  if (time === undefined) return;
  for (const { inode } of placesOf(root)) {
    if (inode.mtime.seconds >= time) inode.mtime = { seconds: time, nanoseconds: 0 };
  }
}

/** What Linux takes for an initrd: cpio, or compressed with gzip, zstd, xz, bzip2, lz4, lzma or lzo. */
const INITRD_STARTS = [
  "303730373031",
  "303730373032",
  "1f8b",
  "28b52ffd",
  "fd377a58",
  "425a68",
  "02214c18",
].concat(["5d0000", "894c5a4f"]);
/** What Linux reads a disk in. */
const SECTOR = 512;

/** The file that a plan names as its root. */
async function prebuiltFile(plan: ImagePlan, workshop: Workshop): Promise<FileBytes> {
  const { rootfs } = plan;
  if (rootfs.kind !== "file") throw new UruncError("internal", "the plan names no root file system's file");
  const file = await workshop.findFile(rootfs.source);
  const { value, at } = rootfs.source.path;
  const size = file.kind === "host" ? file.size : file.file.content.size;
  const start = Buffer.from(await workshop.start(file, 8)).toString("hex");
  if (rootfs.type === "initrd" && !INITRD_STARTS.some((magic) => start.startsWith(magic))) {
    throw wrongAt(plan.name, at, `${value} is no initrd: it is no cpio archive, compressed or not`);
  }
  if (rootfs.type === "block" && (size === 0 || size % SECTOR !== 0)) {
    throw wrongAt(
      plan.name,
      at,
      `${value} is no block image: its ${size} bytes are not whole sectors of ${SECTOR}`,
    );
  }
  return file;
}

async function prebuiltTree(plan: ImagePlan, workshop: Workshop): Promise<Directory | undefined> {
  const { rootfs } = plan;
  if (rootfs.kind !== "file" || rootfs.type === "block") return undefined;
  try {
    return await initrdTree(await prebuiltFile(plan, workshop), workshop.options.contents);
  } catch (error) {
    if (!(error instanceof UruncError) || error.code !== "layer-invalid") throw error;
    const { value, at } = rootfs.source.path;
    throw wrongAt(plan.name, at, `${value} cannot be added to: ${error.message}`, error);
  }
}

function writeRoot(
  root: Directory,
  form: "initrd" | "block",
  path: string,
  plan: ImagePlan,
  workshop: Workshop,
): FileBytes {
  const { contents, say } = workshop.options;
  const { rootfs } = plan;
  let written: Written;
  if (form === "initrd") written = writeInitrd(root, contents, path);
  else {
    const size = rootfs.kind === "made" ? rootfs.size : undefined;
    try {
      const options = { time: workshop.time, ...(size === undefined ? {} : { size: size.value }) };
      written = writeExt4(root, contents, path, options);
    } catch (error) {
      if (!(error instanceof UruncError) || size === undefined || !/too small/.test(error.message))
        throw error;
      throw wrongAt(plan.name, size.at, error.message, error);
    }
  }
  for (const line of losses(written.losses)) say(line);
  return { kind: "host", path, size: statSync(path).size, mode: 0o644 };
}

/** Where a root on its way to a layer is. */
export function scratchFile(workshop: Workshop): string {
  return join(workshop.scratch, "rootfs");
}
