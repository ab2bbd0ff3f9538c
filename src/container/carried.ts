import { UruncError } from "../errors.ts";
import type { Spec } from "../oci/runtime-spec.ts";
import { CLIENT_FILES } from "./direct.ts";
import { isBind } from "./guest-plan.ts";

/**
 * Refuses what is bound into a container, where the monitor shares no files: only files of the client's own are copied, as
 * of others it would be lost what the guest writes to them.
 *
 * @throws UruncError `not-supported`
 */
export function refuseUncarried({ mounts = [] }: Pick<Spec, "mounts">): void {
  const lost = mounts.find((mount) => isBind(mount) && !CLIENT_FILES.includes(mount.destination));
  if (lost === undefined) return;
  throw new UruncError(
    "not-supported",
    `the monitor shares no files with a guest, so that the volume at ${lost.destination} cannot reach it: ` +
      "leave the volume away, or choose qemu",
  );
}
