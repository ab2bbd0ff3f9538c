import { join } from "node:path";
import { INITRAMFS_FILE, KERNEL_FILE } from "../config/share.ts";
import type { ShareWay } from "../monitor/file-server.ts";
import type { ShareDevice, VmNetwork, VmSpec } from "../monitor/vm-spec.ts";
import { machineDisks } from "../rootfs/source.ts";
import type { VmRecord } from "./directory.ts";
import { needsShare, SHARE_TAG } from "./guest-plan.ts";
import { SANDBOX } from "./sandbox.ts";

/** Descriptors that the stand-in gives to the monitor (`docs/guest-protocol.md`, "The launch document"). */
const AGENT_FD = 3;
const CONSOLE_FD = 4;
const SHARE_FD = 5;

/** And the one that it gives to the file server. */
const SERVER_FD = 3;

/** The machine of a container, with the network that its namespace turned out to hold. */
export function vmSpec(record: Omit<VmRecord, "version" | "kind" | "bundle">, network: VmNetwork): VmSpec {
  const { way } = record;
  return {
    name: record.id,
    program: record.program,
    kernel: way.kernel === undefined ? join(SANDBOX.files, KERNEL_FILE) : SANDBOX.kernel,
    initrd: join(SANDBOX.files, INITRAMFS_FILE),
    kernelArguments: [],
    memoryMiB: record.memoryMiB,
    vcpus: record.vcpus,
    acceleration: record.acceleration,
    share: needsShare(record.spec, way.root) ? shareDevice(record.share, SANDBOX.share) : { kind: "none" },
    drives: machineDisks(way).map(({ serial, readOnly }) => ({
      path: join(SANDBOX.disks, serial),
      serial,
      readOnly,
    })),
    network,
    agentFd: AGENT_FD,
    consoleFd: CONSOLE_FD,
  };
}

/** The share, from a directory: what is read-only in it is mounted so. */
export function shareDevice(share: ShareWay, path: string): ShareDevice {
  if (share.kind === "9p") {
    const owners = share.owners === undefined ? {} : { owners: share.owners };
    return { kind: "9p", path, tag: SHARE_TAG, readOnly: false, ...owners };
  }
  const { server } = share;
  return { kind: "virtiofs", path, tag: SHARE_TAG, server, listenFd: SERVER_FD, connectedFd: SHARE_FD };
}
