import { join } from "node:path";
import { INITRAMFS_FILE, KERNEL_FILE } from "../config/share.ts";
import type { VmNetwork, VmSpec } from "../monitor/vm-spec.ts";
import type { VmRecord } from "./directory.ts";
import { SHARE_TAG } from "./guest-plan.ts";
import { SANDBOX } from "./sandbox.ts";

/** Descriptors that the stand-in gives to the monitor (`docs/guest-protocol.md`, "The launch document"). */
const AGENT_FD = 3;
const CONSOLE_FD = 4;

/** The machine of a container, with the network that its namespace turned out to hold. */
export function vmSpec(record: Omit<VmRecord, "version" | "kind" | "bundle">, network: VmNetwork): VmSpec {
  return {
    name: record.id,
    program: record.program,
    kernel: join(SANDBOX.files, KERNEL_FILE),
    initrd: join(SANDBOX.files, INITRAMFS_FILE),
    kernelArguments: [],
    memoryMiB: record.memoryMiB,
    vcpus: record.vcpus,
    acceleration: record.acceleration,
    root: { kind: "9p", path: SANDBOX.share, tag: SHARE_TAG, readOnly: false },
    network,
    agentFd: AGENT_FD,
    consoleFd: CONSOLE_FD,
  };
}
