import type { RootSource } from "./source.ts";

/** What the agent, and any container, cannot do without: options of Linux 6.12. */
const ALWAYS = [
  ...["64BIT", "BLK_DEV_INITRD", "BINFMT_ELF", "PVH", "ACPI", "SERIAL_8250_CONSOLE"],
  ...["PROC_FS", "SYSFS", "DEVTMPFS", "TMPFS", "UNIX98_PTYS"],
  ...["VIRTIO_MMIO", "VIRTIO_CONSOLE", "VIRTIO_NET", "INET", "UNIX"],
  ...["EPOLL", "SIGNALFD", "SECCOMP_FILTER", "MULTIUSER", "POSIX_MQUEUE", "SYSVIPC"],
  ...["PID_NS", "IPC_NS", "UTS_NS", "CGROUPS", "MEMCG", "CGROUP_PIDS", "CPUSETS"],
];
const DISKS = ["BLOCK", "VIRTIO_BLK"];
const SHARES = { "9p": ["NET_9P_VIRTIO", "9P_FS"], virtiofs: ["FUSE_FS", "VIRTIO_FS"] };

/** What is asked of a kernel. */
export interface KernelUse {
  readonly root: RootSource["kind"];
  readonly disks: readonly ("erofs" | "ext4")[];
  /** Undefined: nothing is shared. */
  readonly share?: "9p" | "virtiofs" | undefined;
}

/**
 * The options that a kernel would need to have built in, and has not, for the agent to run a container so.
 *
 * @param config the kernel's `.config`
 */
export function missingForAgent(config: string, use: KernelUse): string[] {
  const built = new Set(Array.from(config.matchAll(/^CONFIG_([A-Z0-9_]+)=y$/gm), ([, name]) => name));
  const needed = [
    ...ALWAYS,
    ...(use.root === "share" && use.disks.length === 0 ? [] : DISKS),
    ...(use.root === "overlay" ? ["OVERLAY_FS"] : []),
    ...(use.disks.includes("erofs") ? ["EROFS_FS"] : []),
    ...(use.disks.includes("ext4") ? ["EXT4_FS"] : []),
    ...(use.share === undefined ? [] : SHARES[use.share]),
  ];
  return needed.filter((name) => !built.has(name));
}
