import { loadConfig } from "../config/load.ts";
import { shareDirectory } from "../config/share.ts";
import { chooseGuest } from "../rootfs/choose.ts";
import { findImageFiles, type ImageFiles } from "../rootfs/image-files.ts";
import { bringsRoot, type ImageWish, withoutRoot } from "../rootfs/wish.ts";

/** The image's own files as a machine with the agent has them: a file system that is read, below its memory. */
const OWN_FILES: NonNullable<ImageFiles["block"]> = { path: "", type: "erofs", writable: false };

/**
 * Whether the runtime will boot an image by its own kernel without the agent (`docs/direct.md`): then its root cannot be
 * put together in the guest, and must be a file system that is written to.
 *
 * @param brought the directory of what it brings
 * @throws UruncError as the runtime does, for what cannot be booted at all
 */
export function bootsDirect(wish: ImageWish, brought: string): boolean {
  if (wish.kernel === undefined && wish.boot !== "direct") return false;
  const hasRoot = bringsRoot(wish);
  const asked: ImageWish = hasRoot
    ? wish
    : { ...withoutRoot(wish), mountRootfs: false, block: { path: "/", mountPoint: "/" } };
  const share = shareDirectory(loadConfig(process.env).config.share);
  const files = hasRoot
    ? findImageFiles(wish, brought, share)
    : { ...findImageFiles(withoutRoot(wish), brought, share), block: OWN_FILES };
  // The client's own files are always bound; only virtiofs needs another driver than 9p.
  return (
    chooseGuest({ wish: asked, files, readOnly: false, share: "9p", hasBinds: true }).protocol === "direct"
  );
}
