import type { Mount, Spec } from "../oci/runtime-spec.ts";
import { isBind } from "./guest-plan.ts";

const SHARED_MEMORY = "/dev/shm";

/** What `statfs(2)` says of the file system that a path is on. */
export interface FileSystem {
  /** `f_type` */
  type: number;
  /** Bytes. */
  size: number;
}

/** `TMPFS_MAGIC` of `<linux/magic.h>` */
const TMPFS = 0x01021994;

/**
 * Replaces a bind of the host's tmpfs at `/dev/shm`, which is how Docker and others give a container its shared memory,
 * by a tmpfs of the same size: memory that is shared with the host by files is neither fast nor the same memory for
 * processes on both sides.
 *
 * @param look says what a path of the host is on; undefined where that cannot be told
 */
export function withOwnSharedMemory(spec: Spec, look: (path: string) => FileSystem | undefined): Spec {
  const mounts = spec.mounts ?? [];
  const replaced = mounts.map((mount) => {
    if (mount.destination !== SHARED_MEMORY || !isBind(mount) || !mount.source?.startsWith("/")) return mount;
    const fileSystem = look(mount.source);
    return fileSystem?.type === TMPFS ? ownTmpfs(fileSystem.size, mount) : mount;
  });
  return replaced.every((mount, index) => mount === mounts[index]) ? spec : { ...spec, mounts: replaced };
}

/** With the options that Docker gives to the one on the host. */
function ownTmpfs(size: number, bind: Mount): Mount {
  const readOnly = (bind.options ?? []).includes("ro");
  return {
    destination: SHARED_MEMORY,
    type: "tmpfs",
    source: "shm",
    options: [
      "nosuid",
      "nodev",
      "noexec",
      "mode=1777",
      `size=${Math.ceil(size / 1024)}k`,
      ...(readOnly ? ["ro"] : []),
    ],
  };
}
