import type { RootfsConfig } from "../config/config.ts";
import { UruncError } from "../errors.ts";
import { missingForAgent } from "./agent-kernel.ts";
import type { ImageFiles } from "./image-files.ts";
import { hasMmioAlone } from "./kernel-bus.ts";
import type { FoundSnapshot, Snapshot } from "./snapshot.ts";
import type { RootSource, RootWay, VolumeFile } from "./source.ts";
import { type Unikernel, unikernelOf } from "./unikernel.ts";
import { IMAGE_PREFIX, type ImageWish } from "./wish.ts";

/** What decides how a container's machine is started. */
export interface Circumstances {
  /** What the caller gives by annotations (`givenRoot`). */
  readonly given?: RootSource | undefined;
  readonly wish?: ImageWish | undefined;
  readonly files?: ImageFiles | undefined;
  /** Whether the container's own root could be a disk; undefined: nobody wants it to be one. */
  readonly snapshot?: FoundSnapshot | undefined;
  /** The root shall be read-only. */
  readonly readOnly: boolean;
  /** How files are shared. */
  readonly share: "9p" | "virtiofs" | "initramfs";
  /** Something is bound into the container. */
  readonly hasBinds: boolean;
  /** What is wished of the container's own root. */
  readonly own?: Pick<RootfsConfig, "way" | "format" | "changes">;
}

/** An image that `create` makes of the container's own root (`docs/rootfs.md`, "The automatic image"). */
export interface WantedImage {
  readonly kind: "image";
  readonly type: "erofs" | "ext4";
  /** What the container changes stays as long as the container. */
  readonly persist: boolean;
}

/** What a machine is started from, before `create` has made what is to be made for it. */
export type ChosenWay = Omit<RootWay, "root"> & { readonly root: RootSource | WantedImage };

const EXT4 = ["ext4"] as const;

/** The decision. */
export interface GuestChoice {
  /** Our agent in the guest, or the kernel's command line alone (`docs/direct.md`). */
  readonly protocol: "agent" | "direct";
  readonly way: ChosenWay;
  /** Why so: ends of sentences. */
  readonly reasons: readonly string[];
}

/**
 * Chooses the way of a container's files to the guest, and the protocol.
 *
 * @throws UruncError `not-supported`: a guest of a kind that is not known, a file system that no guest mounts, a compressed initrd
 */
export function chooseGuest(circumstances: Circumstances): GuestChoice {
  const { given, wish } = circumstances;
  const givenReason = "the caller gives the root as files";
  if (wish === undefined) {
    const [way, reason] =
      given === undefined
        ? ownRoot(circumstances, "the image brings nothing")
        : [{ root: given }, givenReason];
    return { protocol: "agent", way, reasons: [reason] };
  }
  const unikernel = unikernelOf(wish, circumstances.files);
  if (unikernel !== undefined) return chooseUnikernel(circumstances, unikernel);
  const [rootWay, rootReason] =
    given === undefined ? chooseRoot(circumstances, wish) : [{ root: given }, givenReason];
  const volume = volumeOf(circumstances, wish);
  const way: ChosenWay = { ...rootWay, ...(volume ? { volume } : {}) };
  const kernel = circumstances.files?.kernel;
  const own = kernel === undefined || kernel.isOurs ? {} : { kernel: kernel.path };
  const [protocol, reason] = chooseProtocol(circumstances, wish, way);
  if (protocol === "agent") {
    refusePackedInitrd(circumstances, wish);
    return { protocol, way: { ...way, ...own }, reasons: [rootReason, reason] };
  }
  if (given !== undefined) refuseGivenRoot(reason);
  const [root, whyRoot] = withoutImage(circumstances, way.root, [rootReason, reason]);
  const mmio = own.kernel !== undefined && hasMmioAlone(kernel?.config);
  return {
    protocol,
    way: { ...way, root, ...own, direct: true, ...(mmio ? { mmio: true as const } : {}) },
    reasons: [whyRoot, mmio ? `${reason}; on a microvm, as it has no virtio on PCI` : reason],
  };
}

/** The image of a root is read-only: it is the agent that puts what is changed over it. */
function withoutImage(
  { share }: Circumstances,
  root: ChosenWay["root"],
  [rootReason, reason]: [string, string],
): [ChosenWay["root"], string] {
  if (root.kind !== "image") return [root, rootReason];
  if (share !== "initramfs") return [{ kind: "share" }, "an image of it takes the agent"];
  throw new UruncError(
    "not-supported",
    `the monitor shares no files with a guest, an image of the container's root takes the agent, and ${reason}: ` +
      `choose the monitor "qemu", or build the image with its root as a block image or an initrd`,
  );
}

function chooseProtocol(
  circumstances: Circumstances,
  { boot }: ImageWish,
  way: ChosenWay,
): [GuestChoice["protocol"], string] {
  const kernel = circumstances.files?.kernel;
  if (boot === "direct") return ["direct", "the image asks for it"];
  if (kernel === undefined) return ["agent", "the image brings no kernel"];
  if (kernel.isOurs) return ["agent", "the image's kernel is ours"];
  const unfit = unfitForAgent(circumstances, way);
  if (unfit === undefined) return ["agent", "the image's kernel has all that the agent needs"];
  if (boot !== "agent") return ["direct", unfit];
  throw new UruncError(
    "not-supported",
    `the image asks for the agent (${IMAGE_PREFIX}boot), and ${unfit}: leave that annotation, or ${IMAGE_PREFIX}binary, away`,
  );
}

/** It is booted with a command line alone, by the convention of its framework. */
function chooseUnikernel({ given, files }: Circumstances, unikernel: Unikernel): GuestChoice {
  const reason = `the image is a guest of the type ${unikernel.type}`;
  if (given !== undefined) refuseGivenRoot(reason);
  const initrd = files?.initrd;
  const root: RootSource = initrd === undefined ? { kind: "none" } : { kind: "initrd", path: initrd.path };
  const kernel = files?.kernel?.path;
  return {
    protocol: "direct",
    way: { root, ...(kernel === undefined ? {} : { kernel }), direct: true, unikernel },
    // Tools ask for the container's own root as soon as nothing else is one.
    reasons: [
      initrd === undefined ? `${reason}, which no root is shared with` : "the image brings an initrd",
      reason,
    ],
  };
}

function chooseRoot(circumstances: Circumstances, wish: ImageWish): [ChosenWay, string] {
  const { files, readOnly } = circumstances;
  const initrd = files?.initrd;
  if (initrd !== undefined)
    return [{ root: { kind: "initrd", path: initrd.path } }, "the image brings an initrd"];
  const block = wish.block?.mountPoint === "/" ? files?.block : undefined;
  if (block === undefined) {
    // It could be written to only as a part of the file system that the guest has.
    const volume =
      files?.block && ({ kind: "none", why: "the image's block image is a file of it" } as const);
    return ownRoot(
      { ...circumstances, snapshot: circumstances.snapshot && (volume ?? circumstances.snapshot) },
      "the container's own root is the guest's",
    );
  }
  const type = knownType(wish, block.type);
  const root = diskRoot({ path: block.path, type }, readOnly);
  if (root.kind === "disk") refuseUnwritable(wish, block.writable);
  return [{ root }, "the image brings a block image"];
}

/** The container's own root: a disk where one is wanted and it is one, an image where one is wanted, and else shared. */
function ownRoot({ snapshot, readOnly, own, share }: Circumstances, reason: string): [ChosenWay, string] {
  if (snapshot?.kind === "found") {
    const { device: path, type, readOnly: isMountedSo } = snapshot.snapshot;
    const root = diskRoot({ path, type }, readOnly || isMountedSo);
    return [
      { root, snapshot: snapshot.snapshot },
      "the container's own root is a block device, which the guest gets",
    ];
  }
  const and = snapshot === undefined ? "" : `, and ${snapshot.why}`;
  const wanted = own?.way === "image";
  if (!wanted && share !== "initramfs") return [{ root: { kind: "share" } }, `${reason}${and}`];
  const root: WantedImage = {
    kind: "image",
    type: own?.format ?? "erofs",
    persist: own?.changes === "persist",
  };
  return [{ root }, `${wanted ? 'rootfs.way is "image"' : "the monitor shares no files"}${and}`];
}

/** Where nothing is to be written there is something above it for the mount points that it lacks. */
function diskRoot(lower: { path: string; type: Snapshot["type"] }, readOnly: boolean): RootSource {
  if (readOnly || lower.type === "erofs") return { kind: "overlay", lower, upper: { kind: "tmpfs" } };
  return { kind: "disk", path: lower.path };
}

/** It is two disks, of which the agent makes one file system. */
function refuseGivenRoot(reason: string): never {
  throw new UruncError(
    "not-supported",
    `the root is given as files, which no kernel mounts without the agent, and ${reason}: ` +
      `run the image by docker, or build it with its root as a block image or an initrd, or leave ${IMAGE_PREFIX}binary away`,
  );
}

/** A kernel unpacks what it was built for; the agent nothing. */
function refusePackedInitrd({ files }: Circumstances, wish: ImageWish): void {
  if (files?.initrd?.isPlain !== false) return;
  throw new UruncError(
    "not-supported",
    `the image's initrd ${wish.initrd} is not a cpio archive as it is (find . | cpio -o -H newc): ` +
      "unpack it with gunzip, or what it is compressed with, and build the image again",
  );
}

function volumeOf({ files }: Circumstances, wish: ImageWish): VolumeFile | undefined {
  if (wish.block === undefined || wish.block.mountPoint === "/" || files?.block === undefined)
    return undefined;
  const { path, writable } = files.block;
  const type = knownType(wish, files.block.type);
  if (type === "ext4") refuseUnwritable(wish, writable);
  return { path, type, mountPoint: wish.block.mountPoint };
}

function knownType(wish: ImageWish, type: "erofs" | "ext4" | undefined): "erofs" | "ext4" {
  if (type !== undefined) return type;
  throw new UruncError(
    "not-supported",
    `the image's block image ${wish.block?.path} holds no file system that the guest mounts: ` +
      "make it with mkfs.ext4, mkfs.ext2 or mkfs.erofs, without a partition table",
  );
}

function refuseUnwritable(wish: ImageWish, writable: boolean): void {
  if (writable) return;
  throw new UruncError(
    "bundle-invalid",
    `the image's ${wish.block?.path} cannot be written by the monitor, which is root without capabilities: ` +
      "make the file root's, with mode 0644, or start the container with a read-only root",
  );
}

/** Why the agent cannot be under the image's kernel; undefined: it can. */
function unfitForAgent(
  { files, share, hasBinds }: Circumstances,
  { root, volume }: ChosenWay,
): string | undefined {
  const { config, isElf } = files?.kernel ?? {};
  if (config === undefined) return "the image's kernel is not known: no configuration stands beside it";
  if (!isElf) return "the image's kernel is compressed";
  if (files?.initrd?.isPlain === false) return "the image's initrd is compressed";
  const missing = missingForAgent(config, {
    root: root.kind === "image" ? "overlay" : root.kind,
    disks: [
      ...(root.kind === "image" ? [root.type, ...(root.persist ? EXT4 : [])] : []),
      ...(root.kind === "overlay" ? [root.lower.type, ...(root.layer ? [root.layer.type] : [])] : []),
      ...(root.kind === "disk" || (root.kind === "overlay" && root.upper.kind === "file") ? EXT4 : []),
      ...(volume === undefined ? [] : [volume.type]),
    ],
    share: share !== "initramfs" && (root.kind === "share" || hasBinds) ? share : undefined,
  });
  if (missing.length === 0) return undefined;
  return `the image's kernel lacks ${missing.map((name) => `CONFIG_${name}`).join(", ")}`;
}
