/** Where a container's root comes from, decided by `create`; paths are the host's. */
export type RootSource =
  /** The bundle's root file system, as a directory of the share. */
  | { readonly kind: "share" }
  /** Two file systems in one: what the container changes is in the upper one. */
  | { readonly kind: "overlay"; readonly lower: LowerFile; readonly upper: UpperFile };

/** A file that is a file system, never written to. */
export interface LowerFile {
  readonly path: string;
  readonly type: "erofs" | "ext4";
}

export type UpperFile =
  /** In the guest's memory; gone with the machine. */
  | { readonly kind: "tmpfs" }
  /** An ext4 file system, in whose directory `upper` the changes are afterwards. */
  | { readonly kind: "file"; readonly path: string };

/** A file of the host's that becomes a disk of the machine. */
export interface RootDisk {
  readonly path: string;
  /** By which the guest finds it, and its name in the sandbox. */
  readonly serial: string;
  readonly readOnly: boolean;
}

export const LOWER_SERIAL = "lower";
export const UPPER_SERIAL = "upper";

/** The disks that a root is made of. */
export function rootDisks(root: RootSource): RootDisk[] {
  if (root.kind === "share") return [];
  const { lower, upper } = root;
  return [
    { path: lower.path, serial: LOWER_SERIAL, readOnly: true },
    ...(upper.kind === "file" ? [{ path: upper.path, serial: UPPER_SERIAL, readOnly: false }] : []),
  ];
}
