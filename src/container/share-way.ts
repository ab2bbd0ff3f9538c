import type { Config } from "../config/config.ts";
import { findFileServer, type ShareWay, shareWay } from "../monitor/file-server.ts";
import type { Monitor } from "../monitor/vm-spec.ts";
import { ordinaryUser } from "./rootless.ts";

/** A file server takes the identity of the guest's users, which only root can. */
const OWN_FILES_ONLY: ShareWay = {
  kind: "9p",
  owners: "one",
  reason: "only root can give files to other users",
};

/**
 * How files of this host's reach a guest of this user's.
 *
 * @throws UruncError `monitor-missing`
 */
export function containerShareWay(
  { qemu, virtiofsd, virtiofsdOptions }: Config,
  { sharesFiles, name }: Monitor,
): ShareWay {
  if (!sharesFiles) return { kind: "initramfs", reason: `${name} shares no files` };
  if (ordinaryUser() !== undefined) return OWN_FILES_ONLY;
  const wanted = qemu.share;
  const server = wanted === "9p" ? undefined : findFileServer(virtiofsd, virtiofsdOptions);
  return shareWay({ wanted, server });
}
