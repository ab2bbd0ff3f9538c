import type { PublishedPort } from "../network/published.ts";
import type { FileServer } from "./file-server.ts";

/**
 * What a virtual machine is made of, whichever monitor runs it. Every path is one of the sandbox's file
 * system (`/usr`, `/urunc`, `/share`, `/disks`, `/run/urunc`), not of the host's.
 */
export interface VmSpec {
  /** Shown in the process's title: letters, digits, `-`, `_` and `.` are kept, the rest is dropped. */
  readonly name: string;
  /** The monitor's program, absolute. */
  readonly program: string;
  /** A directory of firmware that goes before the program's own. */
  readonly firmware?: string;
  readonly kernel: string;
  readonly initrd?: string;
  /** Words added behind those that the machine itself needs (see `kernelCommandLine`). */
  readonly kernelArguments: readonly string[];
  readonly memoryMiB: number;
  readonly vcpus: number;
  readonly acceleration: Acceleration;
  readonly share: ShareDevice;
  readonly drives: readonly Drive[];
  readonly network: VmNetwork;
  /** Descriptor of a connected unix stream socket: the agent's channel, of monitors that can inherit it. */
  readonly agentFd: number;
  /** Descriptor of a connected unix stream socket: the guest's console, of the same monitors. */
  readonly consoleFd: number;
  /**
   * Of the others: where the monitor makes a unix socket, beside which the stand-in listens for what the guest connects
   * to by vsock (`agentSocketOf`).
   */
  readonly vsockPath: string;
  /** A machine for another kernel than one of ours; `agentFd` is what its init says by a port. */
  readonly direct?: DirectMachine;
}

/** What is different without the agent (`docs/direct.md`); descriptors are of connected unix stream sockets. */
export interface DirectMachine {
  /** Words of the kernel's command line, behind those that the machine itself needs. */
  readonly words: readonly string[];
  /** What its init is told by a port. */
  readonly commandsFd: number;
  /** The monitor's own, QMP. */
  readonly controlFd: number;
  /** The kernel has no virtio on PCI, and is told by its command line where devices are. */
  readonly mmio?: true;
  /** The kernel is none of Linux: the words are all that it gets. */
  readonly unikernel?: "mewz" | "unikraft";
}

/** How the guest's instructions are carried out. `tscKhz` is the rate of the host's time-stamp counter. */
export type Acceleration = { readonly kind: "kvm" } | { readonly kind: "tcg"; readonly tscKhz: number };

/** How files of the host's are shared with the guest. */
export type ShareDevice =
  | {
      readonly kind: "9p";
      /** The directory exported whole. */
      readonly path: string;
      /** What the guest mounts: the source of its `ROOT` or `SHARE` record. */
      readonly tag: string;
      readonly readOnly: boolean;
      /** "one": the monitor cannot give files to other users than its own, and does not fail for it. */
      readonly owners?: "one";
    }
  | {
      readonly kind: "virtiofs";
      readonly path: string;
      readonly tag: string;
      readonly server: FileServer;
      /** Descriptor of the server: a unix socket that listens. */
      readonly listenFd: number;
      /** Descriptor of the monitor, where it can inherit one: a unix stream socket that is connected to it. */
      readonly connectedFd: number;
      /** By which the others connect to it. */
      readonly socketPath: string;
    }
  | { readonly kind: "none" };

/** A disk: a file, or a block device, that is one file system. */
export interface Drive {
  readonly path: string;
  /** By which the guest finds it: 1 to 20 of the characters `A-Za-z0-9._-`. */
  readonly serial: string;
  readonly readOnly: boolean;
  /** It is a block device. */
  readonly isDevice?: true;
}

/** The machine's network devices. */
export type VmNetwork =
  | { readonly kind: "none" }
  | { readonly kind: "tap"; readonly taps: readonly VmTap[] }
  | { readonly kind: "user"; readonly mac: string; readonly published?: readonly PublishedPort[] };

/** A persistent tap of the sandbox's network namespace. */
export interface VmTap {
  readonly tap: string;
  /** `xx:xx:xx:xx:xx:xx` */
  readonly mac: string;
  /** Bytes; told to the guest's driver as the largest it may use. */
  readonly mtu: number;
}

/** A file that the monitor reads. */
export interface MonitorFile {
  /** Of the sandbox, directly in the stand-in's directory. */
  readonly path: string;
  readonly contents: string;
}

/** A device node that the sandbox must have, and that the monitor reads and writes. */
export interface MonitorDevice {
  readonly path: string;
  readonly major: number;
  readonly minor: number;
}

/** How a machine is run: everything that the sandbox has to give to the monitor. */
export interface MonitorPlan {
  /** The first is the program. */
  readonly argv: readonly string[];
  /** The arguments of the program that serves the container's files, where that is not the monitor itself. */
  readonly fileServer?: readonly string[];
  /** What must be there before the monitor starts. */
  readonly files?: readonly MonitorFile[];
  /**
   * Where the agent arrives, for monitors with a vsock of their own: their standard output is the guest's console then.
   * Undefined: they inherit both.
   */
  readonly agentSocket?: string;
  /** Character devices. */
  readonly devices: readonly MonitorDevice[];
  /**
   * Names as in the OCI runtime specification (`CAP_CHOWN`): the sandbox's bounding, permitted and effective sets. With a
   * file server they are for that alone.
   */
  readonly capabilities: readonly string[];
  /** MiB that the monitor and the file server need besides the guest's memory. */
  readonly overheadMiB: number;
}

export type MonitorName = "qemu" | "firecracker" | "cloud-hypervisor";

/** A virtual machine monitor: a specification in, a plan out, without effects. */
export interface Monitor {
  readonly name: MonitorName;
  /** How files of the host's can be shared with the guest; empty: not at all. */
  readonly shares: readonly ("virtiofs" | "9p")[];
  /** It runs on hardware KVM only. */
  readonly needsKvm: boolean;
  /** The guest knows its disks by their order alone: they have no serial of a specification's. */
  readonly ordersDisks: boolean;
  /** Throws UruncError("not-supported") for what this monitor cannot do. */
  plan(spec: VmSpec): MonitorPlan;
}
