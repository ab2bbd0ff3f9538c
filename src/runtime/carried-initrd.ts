import { statSync } from "node:fs";
import { join, resolve } from "node:path";
import { clientFiles } from "../container/direct.ts";
import type { ContainerDirectory, VmRecord } from "../container/directory.ts";
import { OWN_INITRD } from "../container/vm.ts";
import type { CpioEntry } from "../image/cpio.ts";
import { appendInitrd, readClientFile } from "./append-initrd.ts";

/** Where the agent has what is bound, in its initramfs (`docs/guest-protocol.md`, `SHARE`). */
const SHARE = "share";
const MOUNTS = `${SHARE}/mounts`;

/**
 * Makes the agent's initramfs with the files that the client binds into the container, in the order of its mounts.
 *
 * @throws UruncError `bundle-invalid`
 */
export function makeCarriedInitrd(directory: ContainerDirectory, initramfs: string, record: VmRecord): void {
  const files = clientFiles(record.spec).map(({ source }, index): CpioEntry => {
    const path = resolve(record.bundle, source);
    const { mode, uid, gid } = statSync(path);
    const data = readClientFile(path);
    return { type: "file", path: `${MOUNTS}/${index}`, mode: mode & 0o777, uid, gid, data };
  });
  appendInitrd(initramfs, join(directory.vm, OWN_INITRD), [
    { type: "directory", path: SHARE, mode: 0o700 },
    { type: "directory", path: MOUNTS, mode: 0o755 },
    ...files,
  ]);
}
