import { resolve } from "node:path";
import type { RootfsConfig } from "../config/config.ts";
import { isBind } from "../container/guest-plan.ts";
import type { ShareWay } from "../monitor/file-server.ts";
import type { Spec } from "../oci/runtime-spec.ts";
import { chooseGuest, type GuestChoice } from "./choose.ts";
import { givenRoot } from "./given.ts";
import { findImageFiles } from "./image-files.ts";
import { findSnapshot } from "./snapshot.ts";
import { type ImageWish, withoutRoot } from "./wish.ts";

/** Where a container's files are, and how they would be shared. */
export interface Surroundings {
  /** The root file system of the bundle, absolute. */
  readonly rootfs: string;
  /** The directory with the guest's files. */
  readonly files: string;
  readonly share: ShareWay["kind"];
  /** What is wished of the container's own root. */
  readonly own: RootfsConfig;
  /** The bundle, absolute. */
  readonly bundle: string;
}

/**
 * Decides how a container's machine is started, from what its bundle and its root file system have.
 *
 * @param wish what the image asks for (`readImageWish`)
 * @throws UruncError `bundle-invalid`, `not-supported`
 */
export function decideGuest(
  { annotations = {}, mounts = [], root }: Pick<Spec, "annotations" | "mounts" | "root">,
  wish: ImageWish | undefined,
  { bundle, rootfs, files, share, own }: Surroundings,
): GuestChoice {
  const given = givenRoot(annotations);
  // Where no files are shared an image of it would be made else.
  const isAsked = wish?.asksForDisk === true || share === "initramfs";
  const wantsDisk = own.snapshot === "always" || (own.snapshot === "asked" && isAsked);
  const binds = mounts.filter(isBind);
  return chooseGuest({
    given,
    wish,
    ...(wish ? { files: findImageFiles(given ? withoutRoot(wish) : wish, rootfs, files) } : {}),
    ...(wantsDisk
      ? {
          snapshot: findSnapshot(
            rootfs,
            binds.map(({ source = "" }) => resolve(bundle, source)),
          ),
        }
      : {}),
    readOnly: root.readonly === true,
    share,
    hasBinds: binds.length > 0,
    own,
  });
}
