import { closeSync, openSync, readSync } from "node:fs";
import type { ImagePlan } from "../bunnyfile/plan.ts";
import { UruncError } from "../errors.ts";
import { writeDirectory } from "../image/filesystem/directory.ts";
import { makeFile } from "../image/filesystem/output.ts";
import { findKernel } from "./kernel.ts";
import type { FileForm } from "./output.ts";
import { machineRoot, scratchFile } from "./root.ts";
import type { FileBytes, Workshop } from "./workshop.ts";

/**
 * Writes what a plan's machine is made of to files of this system, without making an image. What boots it is not in its
 * root: an image whose own files are the root has that besides.
 *
 * @throws UruncError as the writers do
 */
export async function writeFiles(
  plan: ImagePlan,
  workshop: Workshop,
  outputs: readonly { kind: FileForm; path: string }[],
): Promise<void> {
  const { contents, signal, say } = workshop.options;
  const root = await machineRoot(plan, workshop);
  for (const { kind, path } of outputs) {
    signal.throwIfAborted();
    if (kind !== "kernel" && plan.rootfs.kind === "none") {
      throw new UruncError("build", `${plan.name} has no rootfs that could be written to ${path}`);
    }
    if (kind === "kernel") {
      copyTo((await findKernel(plan, workshop)).file, path, workshop);
    } else if (kind === "rootfs") {
      const tree = await root.tree();
      if (tree === undefined) {
        throw new UruncError("not-supported", `the block image of ${plan.name} is not unpacked: mount it`);
      }
      await writeDirectory(tree, contents, path, signal);
    } else {
      // What is added to a copy is not at its place before it is whole.
      const file = await root.file(kind, plan.rootfs.kind === "file" ? scratchFile(workshop) : path);
      if (file.kind !== "host" || file.path !== path) copyTo(file, path, workshop);
    }
    say(`${kind}: ${path}`);
  }
}

function copyTo(file: FileBytes, path: string, workshop: Workshop): void {
  makeFile(path, (output) => {
    const parts =
      file.kind === "kept" ? workshop.options.contents.readAll(file.file.content) : hostParts(file.path);
    for (const part of parts) output.write(part);
    return output.position;
  });
}

function* hostParts(path: string): Generator<Uint8Array> {
  const descriptor = openSync(path, "r");
  try {
    const buffer = Buffer.allocUnsafe(1 << 20);
    for (;;) {
      const count = readSync(descriptor, buffer);
      if (count === 0) return;
      yield buffer.subarray(0, count);
    }
  } finally {
    closeSync(descriptor);
  }
}
