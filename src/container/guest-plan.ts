import { UruncError } from "../errors.ts";
import type { GuestDevice, GuestMount, GuestRoot, Machine } from "../guest/machine.ts";
import { MS_BIND, MS_RDONLY, parseMountOptions } from "../oci/mount-options.ts";
import type { Device, Mount, Spec } from "../oci/runtime-spec.ts";
import {
  LAYER_SERIAL,
  LOWER_SERIAL,
  type MachineDisk,
  machineDisks,
  ROOT_SERIAL,
  type RootSource,
  type RootWay,
  SHARED_ROOT,
  UPPER_SERIAL,
  VOLUME_SERIAL,
} from "../rootfs/source.ts";
import { guestLimits, type MachineSize, machineSize, type SizeDefaults } from "./resources.ts";

/** What a container's specification asks of the guest, before anything of this host is known. */
export interface GuestPlan {
  size: MachineSize;
  machine: Machine;
  /** What the sandbox binds into the share, by the name it has there. */
  binds: ShareBind[];
  /** Files that become disks of the machine. */
  disks: readonly MachineDisk[];
  /** The kernel that the image brings, a host path. */
  kernel?: string;
  /** The share is the root, and what is bound into it: there is no agent that would put them together. */
  sharesRoot?: true;
  /** Where the guest's network comes from. */
  network: { kind: "host" } | { kind: "namespace"; path?: string };
}

/** A bind mount of the container: a host path that the guest sees as a path of the share. */
export interface ShareBind {
  /** Inside the share: `mounts/N`; where that is the root, the place in it. */
  path: string;
  mount: Mount;
}

/** The mount tag of the share, and the root's directory in it. */
export const SHARE_TAG = "share";
export const SHARE_ROOTFS = "rootfs";

/**
 * `msize`: the largest message, in bytes, that the kernel's virtio transport takes. `cache=mmap`: pages are kept
 * only for what is mapped, so that what the host changes in a volume is seen. `access=client`: the guest's kernel
 * checks permissions, as it must where the application's users are its own.
 */
const OPTIONS_9P = "trans=virtio,version=9p2000.L,msize=512000,cache=mmap,access=client";

/** How the share is mounted: of virtiofs all is the server's to say. */
const SHARE_OPTIONS = { "9p": OPTIONS_9P, virtiofs: "", initramfs: "" } as const;

/** Namespaces that decide whose things the sandbox shares; the guest has its own of each. */
const USER_NAMESPACE = "user";

/**
 * Plans the guest for a container.
 *
 * @param spec the caller's `config.json`, validated
 * @param defaults for containers without limits
 * @param hostname the host's, for containers that have none
 * @param share the way of the container's files to the guest
 * @param way where the root comes from
 * @throws UruncError `memory-too-small`, `not-supported`
 */
export function planGuest(
  spec: Spec,
  defaults: SizeDefaults,
  hostname: string,
  share: keyof typeof SHARE_OPTIONS = "9p",
  way: RootWay = SHARED_ROOT,
): GuestPlan {
  const namespaces = spec.linux?.namespaces ?? [];
  if (namespaces.some(({ type }) => type === USER_NAMESPACE)) {
    throw new UruncError(
      "not-supported",
      "a user namespace for a virtual machine is not supported yet: start the container without it " +
        "(docker run --userns=host)",
    );
  }
  const binds: ShareBind[] = [];
  const mounts: GuestMount[] = [];
  for (const mount of spec.mounts ?? []) {
    if (!isBind(mount)) {
      mounts.push(filesystemMount(mount));
      continue;
    }
    const path = `mounts/${binds.length}`;
    binds.push({ path, mount });
    const { flags, propagation } = parseMountOptions(mount.options ?? []);
    const destination = mount.destination;
    mounts.push({ kind: "share", source: path, destination, flags: flags & ~MS_BIND, propagation });
  }
  if (way.volume !== undefined) {
    const { type, mountPoint: destination } = way.volume;
    const flags = type === "ext4" ? 0 : MS_RDONLY;
    mounts.push({ kind: "disk", type, source: VOLUME_SERIAL, destination, flags, propagation: 0 });
  }
  const network = namespaces.find(({ type }) => type === "network");
  return {
    size: machineSize(spec.linux?.resources, defaults),
    machine: {
      hostname: spec.hostname ?? hostname,
      ...(spec.domainname ? { domainname: spec.domainname } : {}),
      root: guestRoot(spec, share, way.root),
      mounts,
      devices: (spec.linux?.devices ?? []).map(guestDevice),
      sysctls: Object.entries(spec.linux?.sysctl ?? {}),
      cgroup: guestLimits(spec.linux?.resources),
      maskedPaths: spec.linux?.maskedPaths ?? [],
      readonlyPaths: spec.linux?.readonlyPaths ?? [],
    },
    binds,
    disks: machineDisks(way),
    ...(way.kernel === undefined ? {} : { kernel: way.kernel }),
    ...(way.direct && way.root.kind === "share" ? { sharesRoot: true as const } : {}),
    network: network
      ? { kind: "namespace", ...(network.path ? { path: network.path } : {}) }
      : { kind: "host" },
  };
}

/** Whether files of the host's are shared with the guest: the root, or binds. */
export function needsShare(spec: Spec, root: RootSource): boolean {
  return root.kind === "share" || (spec.mounts ?? []).some(isBind);
}

function guestRoot(spec: Spec, type: keyof typeof SHARE_OPTIONS, root: RootSource): GuestRoot {
  const share = { type, source: SHARE_TAG, options: SHARE_OPTIONS[type] };
  const readOnly = spec.root.readonly === true;
  if (root.kind === "share") return { kind: "share", share, subdirectory: SHARE_ROOTFS, readOnly };
  // There is no agent that would read it.
  if (root.kind === "none") return { kind: "disk", type: "cpio", serial: ROOT_SERIAL, readOnly };
  const beside = needsShare(spec, root) ? { share } : {};
  if (root.kind !== "overlay") {
    const type = root.kind === "disk" ? "ext4" : "cpio";
    return { kind: "disk", type, serial: ROOT_SERIAL, ...beside, readOnly };
  }
  const { lower, layer, upper } = root;
  return {
    kind: "overlay",
    lower: { type: lower.type, serial: LOWER_SERIAL },
    ...(layer === undefined ? {} : { layer: { type: layer.type, serial: LAYER_SERIAL } }),
    upper:
      upper.kind === "tmpfs"
        ? { type: "tmpfs", options: "" }
        : { type: "ext4", serial: UPPER_SERIAL, options: "" },
    ...beside,
    readOnly,
  };
}

/** By runc's rule: the type, or one of the options, says so. */
export function isBind(mount: Mount): boolean {
  return (
    mount.type === "bind" || (mount.options ?? []).some((option) => option === "bind" || option === "rbind")
  );
}

function filesystemMount(mount: Mount): GuestMount {
  const { flags, propagation, data, copyUp } = parseMountOptions(mount.options ?? []);
  const type = mount.type ?? "none";
  // The guest has cgroup v2 alone, whatever the host's hierarchy is that the specification was written for.
  const cgroup = type === "cgroup";
  return {
    kind: "filesystem",
    type: cgroup ? "cgroup2" : type,
    source: mount.source ?? type,
    destination: mount.destination,
    flags,
    propagation,
    data: cgroup ? "" : data,
    copyUp: copyUp && type === "tmpfs",
  };
}

function guestDevice(device: Device): GuestDevice {
  // "u", an unbuffered character device, is the same as "c" (runtime-spec, config-linux.md, "Devices").
  const type = device.type === "u" ? "c" : device.type;
  if (type !== "c" && type !== "b" && type !== "p") {
    throw new UruncError(
      "bundle-invalid",
      `device ${device.path} has type ${JSON.stringify(device.type)}: it must be c, b, u or p`,
    );
  }
  return {
    type,
    path: device.path,
    major: device.major ?? 0,
    minor: device.minor ?? 0,
    mode: (device.fileMode ?? 0o666) & 0o7777,
    uid: device.uid ?? 0,
    gid: device.gid ?? 0,
  };
}
