import { constants, copyFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { clientFiles } from "../container/direct.ts";
import { type ContainerDirectory, type VmRecord, writeAtomically } from "../container/directory.ts";
import { OWN_INITRD } from "../container/vm.ts";
import type { DirectBoot } from "../guest/direct.ts";
import type { CpioEntry } from "../image/cpio.ts";
import { appendInitrd, readClientFile } from "./append-initrd.ts";

/**
 * Makes what a kernel without the agent gets as its initrd, in the stand-in's directory: urunit's configuration, or the
 * image's initrd with that and the client's files behind it. Nothing where the kernel needs none.
 */
export function makeDirectInitrd(directory: ContainerDirectory, record: VmRecord, boot: DirectBoot): void {
  const path = join(directory.vm, OWN_INITRD);
  const { root } = record.way;
  if (root.kind !== "initrd") {
    if (boot.configuration !== undefined) writeAtomically(path, boot.configuration);
    return;
  }
  if (record.way.unikernel === undefined) appendInitrd(root.path, path, addedFiles(record, boot));
  else copyFileSync(root.path, path, constants.COPYFILE_FICLONE);
}

function addedFiles({ spec, bundle }: VmRecord, { configuration }: DirectBoot): CpioEntry[] {
  const client = clientFiles(spec).map(({ destination, source }) => ({
    type: "file" as const,
    path: destination.slice(1),
    mode: 0o644,
    data: readClientFile(resolve(bundle, source)),
  }));
  return [
    // Without it the kernel has no standard streams for its first process; images of containers have a file there.
    { type: "directory", path: "dev", mode: 0o755 },
    { type: "character", path: "dev/console", mode: 0o600, major: 5, minor: 1 },
    ...(client.length > 0 ? [{ type: "directory" as const, path: "etc", mode: 0o755 }] : []),
    ...client,
    ...(configuration === undefined
      ? []
      : [{ type: "file" as const, path: "urunit.conf", mode: 0o600, data: Buffer.from(configuration) }]),
  ];
}
