import type { AccelerationWish } from "../monitor/acceleration.ts";
import type { MonitorName } from "../monitor/vm-spec.ts";
import type { Level } from "./log-level.ts";

/** What holds for the machines of a monitor. */
export interface MonitorConfig {
  /** Its program, absolute; undefined: where distributions put it. */
  path?: string;
  /** MiB, for containers without a memory limit. */
  memoryMiB: number;
  /** For containers without a CPU quota. */
  vcpus: number;
}

/** How a container's own root file system reaches its machine, where nothing else is its root. */
export interface RootfsConfig {
  /** `image`: an image is made of it. */
  way: "share" | "image";
  /** Whether a root that is a mounted block device becomes a disk of the machine. `asked`: where the image asks for it. */
  snapshot: "asked" | "always" | "never";
  format: "erofs" | "ext4";
  /** What becomes of what the container changes of an image: `persist`: it stays as long as the container. */
  changes: "memory" | "persist";
  /** MiB that it may take then. */
  persistMiB: number;
  /** Where images are kept, absolute. */
  directory: string;
  /** MiB that images may take that no container uses. */
  cacheMiB: number;
}

/** The effective configuration of the runtime. */
export interface Config {
  log: {
    /** The least that is written; `--debug` goes before. */
    level: Level;
    /** To the system's log, too. */
    syslog: boolean;
  };
  /** The OCI runtime that makes the sandbox: a name looked up in the PATH, or an absolute path. */
  engine: string;
  /** The directory with the guest's files; undefined: beside the executable. */
  share?: string;
  /** What a container without any annotation becomes. */
  unannotated: "vm" | "container";
  /** The monitor of every machine; undefined: the one that the image asks for, else QEMU. */
  monitor?: MonitorName;
  acceleration: AccelerationWish;
  /** Milliseconds that a machine may take from the monitor's start until the application runs. */
  bootTimeout: number;
  /** virtiofsd's program, absolute; undefined: where distributions put it. */
  virtiofsd?: string;
  /** Words of its command line, in the place of ours or besides. */
  virtiofsdOptions: readonly string[];
  rootfs: RootfsConfig;
  qemu: MonitorConfig & {
    /** A directory of firmware, absolute; undefined: the program's own. */
    dataPath?: string;
    /** The way of a container's files to the guest; undefined: virtiofs where there is a virtiofsd, else 9p. */
    share?: "virtiofs" | "9p";
  };
  firecracker: MonitorConfig;
  cloudHypervisor: MonitorConfig;
}

/** What holds for one monitor. */
export function monitorConfig(config: Config, name: MonitorName): MonitorConfig {
  return { qemu: config.qemu, firecracker: config.firecracker, "cloud-hypervisor": config.cloudHypervisor }[
    name
  ];
}

const SIZE: MonitorConfig = { memoryMiB: 256, vcpus: 1 };

export const DEFAULT_CONFIG: Config = {
  log: { level: "info", syslog: false },
  engine: "runc",
  unannotated: "vm",
  acceleration: "detect",
  bootTimeout: 60_000,
  virtiofsdOptions: [],
  rootfs: {
    ...{ way: "share", snapshot: "asked", format: "erofs", changes: "memory", persistMiB: 10_240 },
    ...{ directory: "/var/lib/urunc/rootfs", cacheMiB: 20_480 },
  },
  qemu: { ...SIZE },
  firecracker: { ...SIZE },
  cloudHypervisor: { ...SIZE },
};
