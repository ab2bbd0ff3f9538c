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
export function containerShareWay(config: Config, { shares, name }: Monitor): ShareWay {
  if (shares.length === 0) return { kind: "initramfs", reason: `${name} shares no files` };
  return sharedBy(name, shares, ordinaryUser() === undefined ? rootsWay(config) : OWN_FILES_ONLY);
}

function rootsWay({ qemu, virtiofsd, virtiofsdOptions }: Config): ShareWay {
  const wanted = qemu.share;
  const server = wanted === "9p" ? undefined : findFileServer(virtiofsd, virtiofsdOptions);
  return shareWay({ wanted, server });
}

/** A way, if the monitor knows it. */
export function sharedBy(name: string, shares: Monitor["shares"], way: ShareWay): ShareWay {
  if (way.kind === "initramfs" || shares.includes("9p")) return way;
  if (way.kind === "9p") {
    return { kind: "initramfs", reason: `${name} shares files by virtiofs alone, and ${way.reason}` };
  }
  if (way.server.dialect === "rust") return way;
  // Its requests would be missed (`docs/monitors.md`, `event_idx=off`), which only QEMU can be told to avoid.
  const reason = `${name} shares files by the virtiofsd in Rust alone, and ${way.server.program} is QEMU's`;
  return { kind: "initramfs", reason };
}
