import type { Reference } from "../image/spec/reference.ts";
import type { Located } from "./position.ts";

/** What runs in the machine. */
export const FRAMEWORKS = ["linux", "unikraft", "rumprun", "mirage", "mewz"] as const;
export type Framework = (typeof FRAMEWORKS)[number];

export const MONITORS = ["qemu", "firecracker", "cloud-hypervisor", "hvt", "spt"] as const;
export type Monitor = (typeof MONITORS)[number];

/** OCI's words for processors; other words for the same are taken, too. */
export const ARCHITECTURES = ["amd64", "arm64"] as const;
export type Architecture = (typeof ARCHITECTURES)[number];

export const ROOTFS_TYPES = ["raw", "initrd", "block"] as const;
export type RootfsType = (typeof ROOTFS_TYPES)[number];

/** In a path, what stands for the architecture that is built for. */
export const ARCHITECTURE_WORD = "{architecture}";

/** Of annotations and labels that are about how an image is booted. */
export const ANNOTATION_PREFIX = "com.urunc.unikernel.";

/** A file or a directory that goes into an image. */
export type Source =
  /** Of the build's context; the path is relative to it. */
  | { kind: "local"; path: Located<string> }
  /** Of another image; the path is absolute. */
  | { kind: "image"; reference: Located<Reference>; path: Located<string> };

export type KernelSource = Source | { kind: "builtin"; at: Located<string> };

export interface Include {
  source: Source;
  /** Absolute. With a slash at its end it is a directory, and a file goes into it under its own name. */
  destination: Located<string>;
}

export type Rootfs =
  /** The machine's root is the image's own files: on top of another image, or of nothing. */
  | { kind: "raw"; base?: Located<Reference> }
  /** The files are put into an initrd or a block image, which is a file of the image. */
  | { kind: "made"; type: "initrd" | "block"; base?: Located<Reference>; size?: Located<number> }
  /** An initrd or a block image that is there. */
  | { kind: "file"; type: "initrd" | "block"; source: Source }
  /** There is none: a kernel that is the whole program. */
  | { kind: "none" };

/** A file `bunnyfile`, checked as far as that is possible without any other file. */
export interface Bunnyfile {
  /** What it is called in sentences. */
  name: string;
  framework: Framework;
  frameworkVersion?: string;
  monitor: Monitor;
  /** Empty if nothing is said: that of the machine here. */
  architectures: Located<Architecture>[];
  kernel: KernelSource;
  /** The kernel's configuration: a path where the kernel is. */
  kernelConfig?: Located<string>;
  rootfs: Rootfs;
  includes: Include[];
  /** Whether our init goes into the image, and before its entrypoint; undefined: as the base says. */
  urunit?: boolean;
  entrypoint?: string[];
  cmd?: string[];
  /** As `K=V`. */
  env: string[];
  annotations: Record<string, string>;
  /** Sentences, each with its place in the file. */
  warnings: string[];
}
