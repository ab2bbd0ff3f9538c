import { createWriteStream } from "node:fs";
import { chmod, copyFile, open, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import type { ImagePlan } from "../bunnyfile/plan.ts";
import { wrongAt } from "../bunnyfile/position.ts";
import { UruncError } from "../errors.ts";
import { modeOf } from "../image/filesystem/mode.ts";
import { bytesOf, type Inode, placesOf, plainDirectory, shown } from "../image/layers/tree.ts";
import { nameOf } from "./context.ts";
import { place } from "./placement.ts";
import type { FileBytes, Workshop } from "./workshop.ts";

/** Where ext2, ext3 and ext4 have what tells them (fs/ext4/ext4.h, `s_magic`). */
const MAGIC_OFFSET = 1080;
const MAGIC = 0xef53;
/** Characters of its messages that are passed on. */
const SHOWN = 300;

/**
 * Adds a plan's files to a copy of a block image that is there, with `debugfs` of e2fsprogs, which needs no rights.
 *
 * @param path where the copy is made
 * @throws UruncError `build-file` for another file system than ext2, ext3 and ext4, or one without room; `build` if
 *   debugfs is missing
 */
export async function addToBlock(
  source: FileBytes,
  path: string,
  plan: ImagePlan,
  workshop: Workshop,
): Promise<FileBytes> {
  const { rootfs } = plan;
  if (rootfs.kind !== "file") throw new UruncError("internal", "the plan names no block image");
  const { value, at } = rootfs.source.path;
  const start = await workshop.start(source, MAGIC_OFFSET + 2);
  if (start.length < MAGIC_OFFSET + 2 || Buffer.from(start).readUInt16LE(MAGIC_OFFSET) !== MAGIC) {
    throw wrongAt(
      plan.name,
      at,
      `${value} is no ext2, ext3 or ext4: nothing can be included in another file system`,
    );
  }
  const debugfs = Bun.which("debugfs", { PATH: `${process.env["PATH"] ?? ""}:/usr/sbin:/sbin` });
  if (debugfs === null) {
    throw new UruncError("build", "to include files in a block image takes debugfs: install e2fsprogs");
  }
  if (source.kind === "host") await copyFile(source.path, path);
  else await writeKept(path, source, workshop);
  await chmod(path, 0o644);
  const script = join(workshop.scratch, "debugfs");
  const run = (argv: readonly string[]) => failuresOf([debugfs, ...argv, path], workshop);
  const isThere = async (file: string) => (await run(["-R", `stat ${file}`])).length === 0;
  await writeFile(script, await commandsOf(plan, workshop, isThere), "latin1");
  const failures = await run(["-w", "-f", script]);
  if (failures.length > 0) {
    throw wrongAt(plan.name, at, `cannot include files in ${value}: ${failures.join("; ").slice(0, SHOWN)}`);
  }
  const file = await open(path);
  const { size } = await file.stat();
  await file.close();
  return { kind: "host", path, size, mode: 0o644 };
}

/** What it says that fails; it goes on then, and ends with 0. */
async function failuresOf(argv: readonly string[], workshop: Workshop): Promise<string[]> {
  // Of its own times 0 would mean now.
  const now = String(Math.max(workshop.time, 1));
  const child = Bun.spawn([...argv], {
    env: { PATH: process.env["PATH"] ?? "", LC_ALL: "C", PAGER: "cat", E2FSPROGS_FAKE_TIME: now },
    stdin: "ignore",
    stdout: "ignore",
    stderr: "pipe",
    signal: workshop.options.signal,
  });
  const words = await new Response(child.stderr).text();
  await child.exited;
  workshop.options.signal.throwIfAborted();
  // The first line is its version.
  return words
    .split("\n")
    .slice(1)
    .filter((line) => line !== "");
}

async function writeKept(
  path: string,
  source: FileBytes & { kind: "kept" },
  workshop: Workshop,
): Promise<void> {
  const { contents } = workshop.options;
  const parts = function* () {
    for (const part of contents.readAll(source.file.content)) yield Buffer.from(part);
  };
  await pipeline(parts(), createWriteStream(path));
}

/** The commands for what is included, one a line. Directories that are there keep what they are. */
async function commandsOf(
  plan: ImagePlan,
  workshop: Workshop,
  isThere: (quotedPath: string) => Promise<boolean>,
): Promise<string> {
  const root = plainDirectory();
  for (const { source, destination } of plan.includes) {
    place(root, await workshop.findAny(source), nameOf(source.path.value), bytesOf(destination.value));
  }
  const lines: string[] = [];
  let number = 0;
  for (const { path, inode } of placesOf(root)) {
    if (path === "") continue;
    const target = quoted(`/${path}`);
    const exists = await isThere(target);
    if (inode.kind === "directory") {
      if (exists) continue;
      lines.push(`mkdir ${target}`);
    } else if (exists) lines.push(`rm ${target}`);
    if (inode.kind === "directory") {
      // It is made.
    } else if (inode.kind === "file") {
      const file = join(workshop.scratch, `file-${number++}`);
      await writeKept(file, { kind: "kept", file: inode }, workshop);
      lines.push(`write ${file} ${target}`);
    } else if (inode.kind === "link") lines.push(`symlink ${target} ${quoted(inode.target)}`);
    else if (inode.kind === "fifo") lines.push(`mknod ${target} p`);
    else lines.push(`mknod ${target} ${inode.kind === "block" ? "b" : "c"} ${inode.major} ${inode.minor}`);
    lines.push(...fieldsOf(inode).map(([field, value]) => `set_inode_field ${target} ${field} ${value}`));
  }
  return `${lines.join("\n")}\n`;
}

function fieldsOf(inode: Inode): [field: string, value: string][] {
  const { uid, gid, mtime } = inode;
  return [
    ["mode", `0${modeOf(inode).toString(8)}`],
    ["uid", String(uid)],
    ["gid", String(gid)],
    ["mtime", `@${Math.max(mtime.seconds, 0)}`],
  ];
}

function quoted(path: string): string {
  // Its words are parted by spaces, and a quote cannot be part of one.
  if (/["\n\\]/.test(path)) {
    throw new UruncError("build", `${shown(path)} cannot be included in a block image that is there`);
  }
  return `"${path}"`;
}
