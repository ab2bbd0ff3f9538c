import {
  closeSync,
  constants,
  copyFileSync,
  fstatSync,
  openSync,
  readFileSync,
  statSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join, resolve } from "node:path";
import { clientFiles } from "../container/direct.ts";
import { type ContainerDirectory, type VmRecord, writeAtomically } from "../container/directory.ts";
import { DIRECT_INITRD } from "../container/vm.ts";
import { UruncError } from "../errors.ts";
import type { DirectBoot } from "../guest/direct.ts";
import { type CpioEntry, writeCpio } from "../image/cpio.ts";

/** Bytes of a file of the client's: what it writes itself is a thousand times smaller. */
const CLIENT_FILE_MOST = 1_048_576;

/** Archives behind one another begin at a multiple of it. */
const ALIGNMENT = 4;

/**
 * Makes what a kernel without the agent gets as its initrd, in the stand-in's directory: urunit's configuration, or the
 * image's initrd with that and the client's files behind it. Nothing where the kernel needs none.
 */
export function makeDirectInitrd(directory: ContainerDirectory, record: VmRecord, boot: DirectBoot): void {
  const path = join(directory.vm, DIRECT_INITRD);
  const { root } = record.way;
  if (root.kind !== "initrd") {
    if (boot.configuration !== undefined) writeAtomically(path, boot.configuration);
    return;
  }
  copyFileSync(root.path, path, constants.COPYFILE_FICLONE);
  const file = openSync(path, "a", 0o600);
  try {
    writeSync(file, new Uint8Array(-fstatSync(file).size & (ALIGNMENT - 1)));
    writeFileSync(file, writeCpio(addedFiles(record, boot)));
  } finally {
    closeSync(file);
  }
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

/**
 * A file of the client's that becomes one of the guest's own.
 *
 * @throws UruncError `bundle-invalid`
 */
export function readClientFile(path: string): Uint8Array {
  const status = statSync(path);
  if (status.isFile() && status.size <= CLIENT_FILE_MOST) return readFileSync(path);
  throw new UruncError(
    "bundle-invalid",
    `${path} cannot be added to the guest's root: it must be a file of at most ${CLIENT_FILE_MOST} bytes`,
  );
}
