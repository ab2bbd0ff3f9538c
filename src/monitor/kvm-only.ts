import { UruncError } from "../errors.ts";
import type { Monitor, VmSpec } from "./vm-spec.ts";

/** Of Firecracker's machines, and CONFIG_NR_CPUS of our kernel. */
const MOST_VCPUS = 32;

/** What machines can be made of where the monitor runs on KVM only. */
export interface DeviceLimit {
  /** The monitor's name. */
  readonly who: string;
  /** The most disks and network interfaces. */
  readonly most: number;
  readonly shares: Monitor["shares"];
}

/**
 * Refuses what such a monitor cannot do.
 *
 * @throws UruncError `not-supported`
 */
export function refuseForKvmOnly(spec: VmSpec, limit: DeviceLimit): void {
  const sentence = cannot(spec, limit);
  if (sentence !== undefined) throw new UruncError("not-supported", `${limit.who} ${sentence}`);
}

/** As the rest of a sentence. */
function cannot(spec: VmSpec, { most, shares }: DeviceLimit): string | undefined {
  const { acceleration, share, drives, network, vcpus, direct } = spec;
  if (acceleration.kind !== "kvm") return "needs hardware KVM: choose qemu, which does without";
  if (share.kind !== "none" && !shares.includes(share.kind)) {
    return `shares no files by ${share.kind}: give the container a root on a disk and no volumes, or choose qemu`;
  }
  if (network.kind === "user") {
    return "needs a network namespace of the container's own: give it one, or choose qemu";
  }
  if (direct !== undefined) return "runs no kernel without the agent here: choose qemu";
  if (!Number.isSafeInteger(vcpus) || vcpus < 1 || vcpus > MOST_VCPUS) {
    return `has 1 to ${MOST_VCPUS} processors here, not ${vcpus}`;
  }
  const devices = drives.length + (network.kind === "tap" ? network.taps.length : 0);
  if (devices <= most) return undefined;
  return `has places for ${most} disks and network interfaces, not ${devices}: give the container fewer interfaces`;
}
