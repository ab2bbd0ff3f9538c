import type { Snapshot } from "./snapshot.ts";
import type { Unikernel } from "./unikernel.ts";

/** What a machine is started from, decided by `create`; paths are the host's. */
export interface RootWay {
  readonly root: RootSource;
  /** A disk besides the root. */
  readonly volume?: VolumeFile;
  /** The kernel that the image brings; undefined: ours. */
  readonly kernel?: string;
  /** The root's disk is a device of the host's, which has it mounted until the machine gets it. */
  readonly snapshot?: Snapshot;
  /** Without the agent (`docs/direct.md`). */
  readonly direct?: true;
  /** And the kernel has no virtio on PCI. */
  readonly mmio?: true;
  /** And the kernel is none of Linux. */
  readonly unikernel?: Unikernel;
}

/** Where a container's root comes from. */
export type RootSource =
  /** The bundle's root file system, as a directory of the share. */
  | { readonly kind: "share" }
  /** File systems in one: what the container changes is in the upper one. */
  | {
      readonly kind: "overlay";
      readonly lower: LowerFile;
      /** Over that one: what a container's own files change of those of its image, in the form of an upper directory. */
      readonly layer?: LowerFile;
      readonly upper: UpperFile;
    }
  /** A file, or a device, that is an ext4 file system, and is written to. */
  | { readonly kind: "disk"; readonly path: string }
  /** The kernel has all its files itself. */
  | { readonly kind: "none" }
  /** An archive that becomes files in the guest's memory. */
  | { readonly kind: "initrd"; readonly path: string };

/** A file, or a device, that is a file system, never written to. */
export interface LowerFile {
  readonly path: string;
  readonly type: "erofs" | "ext4";
}

export type UpperFile =
  /** In the guest's memory; gone with the machine. */
  | { readonly kind: "tmpfs" }
  /** An ext4 file system, in whose directory `upper` the changes are afterwards. */
  | { readonly kind: "file"; readonly path: string };

/** A file that is a file system; an ext4 one is written to. */
export interface VolumeFile {
  readonly path: string;
  readonly type: "erofs" | "ext4";
  /** Where it is in the container, absolute. */
  readonly mountPoint: string;
}

/** A file, or a block device, of the host's that becomes a disk of the machine. */
export interface MachineDisk {
  readonly path: string;
  /** Undefined: it is a file. */
  readonly device?: { readonly major: number; readonly minor: number };
  /** By which the guest finds it, and its name in the sandbox. */
  readonly serial: string;
  readonly readOnly: boolean;
}

export const LOWER_SERIAL = "lower";
export const LAYER_SERIAL = "layer";
export const UPPER_SERIAL = "upper";
export const ROOT_SERIAL = "root";
export const VOLUME_SERIAL = "volume";

export const SHARED_ROOT: RootWay = { root: { kind: "share" } };

/** The disks of a machine. */
export function machineDisks({ root, volume, snapshot }: RootWay): MachineDisk[] {
  const disks = rootDisks(root).map((disk): MachineDisk => {
    if (snapshot?.device !== disk.path) return disk;
    const { major, minor } = snapshot;
    return { ...disk, device: { major, minor } };
  });
  if (volume === undefined) return disks;
  return [...disks, { path: volume.path, serial: VOLUME_SERIAL, readOnly: volume.type !== "ext4" }];
}

function rootDisks(root: RootSource): MachineDisk[] {
  switch (root.kind) {
    case "none":
    case "share":
      return [];
    case "disk":
      return [{ path: root.path, serial: ROOT_SERIAL, readOnly: false }];
    case "initrd":
      return [{ path: root.path, serial: ROOT_SERIAL, readOnly: true }];
    case "overlay":
      return [
        { path: root.lower.path, serial: LOWER_SERIAL, readOnly: true },
        ...(root.layer ? [{ path: root.layer.path, serial: LAYER_SERIAL, readOnly: true }] : []),
        ...(root.upper.kind === "file"
          ? [{ path: root.upper.path, serial: UPPER_SERIAL, readOnly: false }]
          : []),
      ];
  }
}
