import { addressBytes, macBytes } from "../network/address.ts";
import type { GuestLink, GuestNetwork } from "../network/guest-network.ts";
import type { Resolver } from "../network/resolvers.ts";
import { DocumentWriter } from "./document.ts";
import { Tag } from "./protocol.ts";
import { addResolvers } from "./resolver-record.ts";

/** What the guest's machine is set up as, before a process starts in it. */
export interface Machine {
  hostname: string;
  domainname?: string;
  root: GuestRoot;
  /** In the order in which they are mounted. */
  mounts: GuestMount[];
  devices: GuestDevice[];
  sysctls: [key: string, value: string][];
  /** What is written to files of the container's control group, version 2. */
  cgroup: [file: string, value: string][];
  maskedPaths: string[];
  readonlyPaths: string[];
}

/** Where the container's root comes from (`docs/guest-protocol.md`, "The machine"). */
export type GuestRoot =
  | {
      kind: "share";
      share: GuestShare;
      /** The root's directory inside the share; empty for all of it. */
      subdirectory: string;
      readOnly: boolean;
    }
  | {
      kind: "overlay";
      lower: GuestDisk;
      /** Over that one: in the form of an upper directory, but never written to. */
      layer?: GuestDisk;
      /** What is written: in memory, or to a disk. */
      upper: { type: "tmpfs"; options: string } | (GuestDisk & { options: string });
      /** Beside it, for binds. */
      share?: GuestShare;
      readOnly: boolean;
    }
  | {
      kind: "disk";
      /** `cpio`: an initrd, which is unpacked. */
      type: GuestDisk["type"] | "cpio";
      serial: string;
      share?: GuestShare;
      readOnly: boolean;
    };

/** The file system that holds everything that is bound into the guest, and maybe the root: the *share*. */
export interface GuestShare {
  type: string;
  source: string;
  options: string;
}

/** A file system on a disk of the machine. */
export interface GuestDisk {
  type: "erofs" | "ext4";
  /** 1 to 20 of the characters `A-Za-z0-9._-`. */
  serial: string;
}

interface MountBase {
  destination: string;
  /** `MS_*` */
  flags: number;
  /** `MS_*` of the propagation; 0 for none. */
  propagation: number;
}

export type GuestMount =
  | (MountBase & { kind: "filesystem"; type: string; source: string; data: string; copyUp: boolean })
  /** A bind of a path of the share. */
  | (MountBase & { kind: "share"; source: string })
  /** A file system on a disk, whose serial is the source. */
  | (MountBase & { kind: "disk"; type: GuestDisk["type"]; source: string });

export interface GuestDevice {
  type: "c" | "b" | "p";
  path: string;
  major: number;
  minor: number;
  /** Permission bits. */
  mode: number;
  uid: number;
  gid: number;
}

const ROOT_READONLY = 1;
const MOUNT_FILESYSTEM = 0;
const MOUNT_SHARE = 1;
const MOUNT_DISK = 2;
const MOUNT_COPY_UP = 1;
const ADDRESS_WITHOUT_ROUTE = 1;
const ROUTE_GATEWAY = 1;
const ROUTE_SOURCE = 2;
const ROUTE_ONLINK = 4;
const ROUTE_ADVERTISED = 8;
const NO_ADDRESS = new Uint8Array(16);

/** Encodes the machine's document (`docs/guest-protocol.md`, "The machine"). */
export function encodeMachine(
  machine: Machine,
  network: GuestNetwork,
  resolvers: readonly Resolver[] = [],
): Uint8Array {
  const document = new DocumentWriter();
  document.add(Tag.HOSTNAME, { string: machine.hostname });
  if (machine.domainname !== undefined) document.add(Tag.DOMAINNAME, { string: machine.domainname });
  addNetwork(document, network);
  addResolvers(document, Tag.RESOLVER, resolvers);
  if (network.kind === "tap" && network.elsewhere !== undefined)
    addLoopbackPorts(document, network.elsewhere);
  addRoot(document, machine.root);
  for (const mount of machine.mounts) addMount(document, mount);
  for (const device of machine.devices) {
    document.add(
      Tag.DEVICE,
      { u32: device.type.charCodeAt(0) },
      { u32: device.major },
      { u32: device.minor },
      { u32: device.mode },
      { u32: device.uid },
      { u32: device.gid },
      { string: device.path },
    );
  }
  // Before those that the container asks for.
  if (network.kind !== "user" && network.loopbackIpv6 === false) {
    document.add(Tag.SYSCTL, { string: "net.ipv6.conf.lo.disable_ipv6" }, { string: "1" });
  }
  for (const [key, value] of machine.sysctls) document.add(Tag.SYSCTL, { string: key }, { string: value });
  for (const [file, value] of machine.cgroup) document.add(Tag.CGROUP, { string: file }, { string: value });
  for (const path of machine.readonlyPaths) document.add(Tag.READONLY_PATH, { string: path });
  for (const path of machine.maskedPaths) document.add(Tag.MASKED_PATH, { string: path });
  return document.bytes();
}

function addLoopbackPorts(
  document: DocumentWriter,
  { address, ports }: { readonly address: string; readonly ports: readonly number[] },
): void {
  const bytes = addressBytes(4, address).subarray(0, 4);
  for (const port of ports) document.add(Tag.LOOPBACK_PORT, { u16: port }, { u16: 0 }, { bytes });
}

function addRoot(document: DocumentWriter, root: GuestRoot): void {
  const flags = { u32: root.readOnly ? ROOT_READONLY : 0 };
  if (root.kind === "share") {
    document.add(Tag.ROOT, flags, ...shareFields(root.share), { string: root.subdirectory });
    return;
  }
  if (root.share) document.add(Tag.SHARE, ...shareFields(root.share));
  if (root.kind === "disk") {
    document.add(Tag.DISK, flags, { string: root.type }, { string: root.serial }, { string: "" });
    return;
  }
  const { lower, layer, upper } = root;
  if (layer) document.add(Tag.LAYER, { string: layer.type }, { string: layer.serial });
  document.add(
    Tag.OVERLAY,
    flags,
    { string: lower.type },
    { string: lower.serial },
    { string: upper.type },
    { string: upper.type === "tmpfs" ? "" : upper.serial },
    { string: upper.options },
  );
}

function shareFields({ type, source, options }: GuestShare): { string: string }[] {
  return [{ string: type }, { string: source }, { string: options }];
}

function addMount(document: DocumentWriter, mount: GuestMount): void {
  const kind = { filesystem: MOUNT_FILESYSTEM, share: MOUNT_SHARE, disk: MOUNT_DISK }[mount.kind];
  document.add(
    Tag.MOUNT,
    { u32: kind },
    { u32: mount.flags },
    { u32: mount.propagation },
    { u32: mount.kind === "filesystem" && mount.copyUp ? MOUNT_COPY_UP : 0 },
    { string: mount.kind === "share" ? "" : mount.type },
    { string: mount.source },
    { string: mount.destination },
    { string: mount.kind === "filesystem" ? mount.data : "" },
  );
}

function addNetwork(document: DocumentWriter, network: GuestNetwork): void {
  if (network.kind !== "none") addLinks(document, network.links);
  if (network.kind === "user") return;
  for (const { family, type, destination, prefixLength, metric } of network.deadRoutes ?? []) {
    document.add(
      Tag.DEAD_ROUTE,
      { u8: family },
      { u8: prefixLength },
      { u8: type },
      { u8: 0 },
      { u32: metric },
      { bytes: addressBytes(family, destination) },
    );
  }
}

function addLinks(document: DocumentWriter, links: readonly GuestLink[]): void {
  for (const [number, link] of links.entries()) {
    const mac = { bytes: macBytes(link.mac) };
    document.add(Tag.LINK, { u32: number }, { u32: link.mtu }, mac, { u16: 0 }, { string: link.name });
  }
  for (const [number, link] of links.entries()) {
    for (const { family, prefixLength, address, broadcast, withoutRoute } of link.addresses) {
      document.add(
        Tag.ADDRESS,
        { u32: number },
        { u8: family },
        { u8: prefixLength },
        { u16: withoutRoute ? ADDRESS_WITHOUT_ROUTE : 0 },
        { bytes: addressBytes(family, address) },
        { bytes: broadcast === undefined ? NO_ADDRESS : addressBytes(family, broadcast) },
      );
    }
  }
  for (const [number, link] of links.entries()) {
    for (const route of link.routes) {
      const flags =
        (route.gateway === undefined ? 0 : ROUTE_GATEWAY) |
        (route.source === undefined ? 0 : ROUTE_SOURCE) |
        (route.onLink ? ROUTE_ONLINK : 0) |
        (route.advertised ? ROUTE_ADVERTISED : 0);
      const optional = (address?: string) => ({
        bytes: address === undefined ? NO_ADDRESS : addressBytes(route.family, address),
      });
      document.add(
        Tag.ROUTE,
        { u32: number },
        { u8: route.family },
        { u8: route.prefixLength },
        { u8: route.scope },
        { u8: flags },
        { u32: route.metric },
        optional(route.destination),
        optional(route.gateway),
        optional(route.source),
      );
    }
  }
}
