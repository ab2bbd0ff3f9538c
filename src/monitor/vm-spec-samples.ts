import type { VmSpec } from "./vm-spec.ts";

/** What the monitors' tests make machines of: the least that one has, disks and taps, each with changes. */

export function vmSpec(program: string, change: Partial<VmSpec> = {}): VmSpec {
  return {
    name: "box",
    program,
    kernel: "/urunc/vmlinux",
    initrd: "/urunc/initramfs.cpio",
    kernelArguments: [],
    memoryMiB: 256,
    vcpus: 2,
    acceleration: { kind: "kvm" },
    share: { kind: "none" },
    drives: [],
    network: { kind: "none" },
    agentFd: 3,
    consoleFd: 4,
    vsockPath: "/run/urunc/vsock.sock",
    ...change,
  };
}

export const DISKS = [
  { path: "/disks/lower", serial: "lower", readOnly: true },
  { path: "/disks/upper", serial: "upper", readOnly: false },
];

export const TAPS = {
  kind: "tap",
  taps: [
    { tap: "utap0", mac: "02:42:ac:11:00:02", mtu: 1500 },
    { tap: "utap1", mac: "02:42:ac:12:00:02", mtu: 9000 },
  ],
} as const;
