import { join } from "node:path";
import { INITRAMFS_FILE, KERNEL_FILE } from "../config/share.ts";
import { DIRECT_TAG, type DirectBoot } from "../guest/direct.ts";
import type { ShareWay } from "../monitor/file-server.ts";
import { FIRMWARE_PLACE } from "../monitor/tree.ts";
import type { ShareDevice, VmNetwork, VmSpec } from "../monitor/vm-spec.ts";
import { machineDisks } from "../rootfs/source.ts";
import { directBoot } from "./direct.ts";
import type { VmRecord } from "./directory.ts";
import { needsShare, SHARE_TAG } from "./guest-plan.ts";
import { diskPlace, SANDBOX } from "./sandbox.ts";

/** Descriptors that the stand-in gives to the monitor (`docs/guest-protocol.md`, "The launch document"). */
const AGENT_FD = 3;
const CONSOLE_FD = 4;
const SHARE_FD = 5;
const COMMANDS_FD = 6;
const CONTROL_FD = 7;

/** And the one that it gives to the file server. */
const SERVER_FD = 3;

/** In the stand-in's directory, of monitors that have a vsock of their own. */
const VSOCK_SOCKET = "vsock.sock";

/** Where the file server waits for them. */
const SHARE_SOCKET = "share.sock";

/** What the launch of a container makes, in the stand-in's directory, where the guest boots from files of its own. */
export const OWN_INITRD = "initrd";

/**
 * The machine of a container, with the network that its namespace turned out to hold.
 *
 * @param boot without the agent: what its kernel is started with; default as without a network
 * @throws UruncError `not-supported`: as `directBoot`
 */
export function vmSpec(
  record: Omit<VmRecord, "version" | "kind" | "bundle">,
  network: VmNetwork,
  boot?: DirectBoot,
): VmSpec {
  return record.way.direct
    ? directVmSpec(record, network, boot ?? directBoot(record, { kind: "none" }))
    : agentVmSpec(record, network);
}

/** A kernel gets no tag of ours, no disk for what it has as its initrd, and all it is to know on its command line. */
function directVmSpec(record: MachineRecord, network: VmNetwork, boot: DirectBoot): VmSpec {
  const { initrd: _, ...spec } = agentVmSpec(record, network);
  const isInitrd = record.way.root.kind === "initrd";
  const share: ShareDevice =
    record.way.root.kind === "share"
      ? shareDevice(record.share, SANDBOX.share, DIRECT_TAG)
      : { kind: "none" };
  return {
    ...spec,
    ...(isInitrd || boot.configuration !== undefined ? { initrd: join(SANDBOX.run, OWN_INITRD) } : {}),
    share,
    drives: isInitrd ? [] : spec.drives,
    direct: {
      words: boot.words,
      commandsFd: COMMANDS_FD,
      controlFd: CONTROL_FD,
      ...(record.way.mmio ? { mmio: true as const } : {}),
      ...(record.way.unikernel ? { unikernel: record.way.unikernel.type } : {}),
    },
  };
}

type MachineRecord = Omit<VmRecord, "version" | "kind" | "bundle">;

function agentVmSpec(record: MachineRecord, network: VmNetwork): VmSpec {
  const { way } = record;
  return {
    name: record.id,
    program: record.program,
    ...(record.firmware === undefined ? {} : { firmware: FIRMWARE_PLACE }),
    kernel: way.kernel === undefined ? join(SANDBOX.files, KERNEL_FILE) : SANDBOX.kernel,
    initrd:
      record.initramfs !== undefined ? join(SANDBOX.run, OWN_INITRD) : join(SANDBOX.files, INITRAMFS_FILE),
    kernelArguments: [],
    memoryMiB: record.memoryMiB,
    vcpus: record.vcpus,
    acceleration: record.acceleration,
    share: needsShare(record.spec, way.root) ? shareDevice(record.share, SANDBOX.share) : { kind: "none" },
    drives: machineDisks(way).map((disk) => ({
      path: diskPlace(disk),
      serial: disk.serial,
      readOnly: disk.readOnly,
      ...(disk.device ? { isDevice: true as const } : {}),
    })),
    network,
    agentFd: AGENT_FD,
    consoleFd: CONSOLE_FD,
    vsockPath: join(SANDBOX.run, VSOCK_SOCKET),
  };
}

/** The share, from a directory: what is read-only in it is mounted so. */
export function shareDevice(share: ShareWay, path: string, tag: string = SHARE_TAG): ShareDevice {
  if (share.kind === "initramfs") return { kind: "none" };
  if (share.kind === "9p") {
    const owners = share.owners === undefined ? {} : { owners: share.owners };
    return { kind: "9p", path, tag, readOnly: false, ...owners };
  }
  const { server } = share;
  return {
    kind: "virtiofs",
    path,
    tag,
    server,
    listenFd: SERVER_FD,
    connectedFd: SHARE_FD,
    socketPath: join(SANDBOX.run, SHARE_SOCKET),
  };
}
