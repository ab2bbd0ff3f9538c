import { createHash } from "node:crypto";
import { UruncError } from "../errors.ts";
import { addressBytes } from "./address.ts";
import type {
  DeadRoute,
  GuestAddress,
  GuestNetwork,
  GuestRoute,
  IpFamily,
  TapLink,
} from "./guest-network.ts";
import type { NamespaceAddress, NamespaceInterface, NamespaceNetwork, NamespaceRoute } from "./namespace.ts";
import { type PodNetwork, plainContainerFilters } from "./plain-containers.ts";
import {
  LOOPBACK_ADDRESS,
  type LoopbackPlan,
  loopbackFilters,
  loopbackLink,
  loopbackPlan,
  NAMESPACE_ADDRESS,
} from "./pod-loopback.ts";
import { OWN_PORTS, resolverCommands } from "./resolver-answers.ts";

/** What is to be done in a namespace so that a guest takes the place of what is in it. */
export interface NetworkPlan {
  readonly guest: Extract<GuestNetwork, { kind: "none" | "tap" }>;
  /** What an earlier attempt left, to be removed first. */
  readonly leftovers: readonly TapPair[];
  /** What will be made. */
  readonly pairs: readonly TapPair[];
  /** For `ip -batch`: the taps. Empty if there is nothing to do. */
  readonly ipBatch: string;
  /** For `tc -batch`: the redirects. */
  readonly tcBatch: string;
  /** For `/proc/sys/net/ipv4/ip_local_port_range`, where a resolver asks others from this namespace. */
  readonly localPorts?: string;
  /** What makes the namespace's loopback lead to the guest. Absent: it does not. */
  readonly loopback?: LoopbackPlan;
}

/** A tap and the interface whose frames it carries (absent when that is gone). */
export interface TapPair {
  readonly tap: string;
  readonly interface?: string;
  /** The interface was made to receive every multicast frame, and will be as before when the tap goes. */
  readonly allMulticast?: true;
}

export interface PlanOptions {
  /**
   * Whether the container with this alias of a tap (see `tapAlias`) has ended, so that its taps may be taken
   * away. Asked only for taps that no machine has open. Default: never.
   */
  readonly hasEnded?: (alias: string) => boolean;
  /** Whether a resolver of the host asks others from this namespace, so that answers must find it. Default: no. */
  readonly resolves?: boolean;
  /** Of a container in a pod of Kubernetes. Default: it is in none. */
  readonly pod?: PodNetwork;
}

const ALIAS_PREFIX = "urunc:";
/** iproute2's name of the flag. */
const ALL_MULTICAST = "ALLMULTI";
/** rtnetlink numbers. */
const UNICAST = 1;
/** Blackhole, unreachable, prohibit, throw. */
const DEAD: ReadonlySet<number> = new Set([6, 7, 8, 9]);
const KERNEL = 2;
const REDIRECT = 1;
const ADVERTISED = 9;
/** Routes that come and go by themselves. */
const OF_THE_KERNEL: ReadonlySet<number> = new Set([REDIRECT, KERNEL, ADVERTISED]);
/** A tap's Ethernet header is counted in the largest frame of 65,535 bytes. */
const TAP_MTU_MAX = 65521;

/** The interface alias that marks a container's taps: kernels take up to 255 bytes. */
export function tapAlias(containerId: string): string {
  const id = containerId.length <= 200 ? containerId : createHash("sha256").update(containerId).digest("hex");
  return `${ALIAS_PREFIX}${id}`;
}

/** A tap's name: `utap` and the number of the interface that it belongs to, at most 14 characters. */
export function tapName(interfaceIndex: number): string {
  return `utap${interfaceIndex}`;
}

/**
 * A guest's network for what a namespace holds: for each Ethernet interface that is up a tap with its MAC, MTU,
 * addresses and routes. What cannot be carried over, and a namespace whose frames already go to another virtual
 * machine, throw UruncError("network").
 */
export function planNetwork(
  network: NamespaceNetwork,
  containerId: string,
  options: PlanOptions = {},
): NetworkPlan {
  const alias = tapAlias(containerId);
  const leftovers = findLeftovers(network, alias, options);
  const carried = network.interfaces.filter((link) => isCarried(network, link));
  refuseWhatIsLost(network, carried);
  const deadRoutes = findDeadRoutes(network);
  const pairs = carried.map(newPair);
  const ports = options.pod?.ports;
  const given = carried.map((link) => tapLink(network, link));
  const first = given.findIndex(({ addresses }) => addresses.some(({ family }) => family === 4));
  const joined = options.pod?.joined ? pairs[first] : undefined;
  const links = given.map((link) =>
    link.tap === joined?.tap ? { ...link, addresses: [...link.addresses, LOOPBACK_ADDRESS] } : link,
  );
  return {
    guest: {
      ...(links.length === 0
        ? { kind: "none" }
        : {
            kind: "tap",
            links,
            ...(joined === undefined || ports === undefined
              ? {}
              : { elsewhere: { address: NAMESPACE_ADDRESS, ports } }),
          }),
      ...(hasLoopbackWithoutIpv6(network) ? { loopbackIpv6: false } : {}),
      ...(deadRoutes.length > 0 ? { deadRoutes } : {}),
    },
    leftovers,
    pairs,
    ipBatch:
      carried.map((link) => tapCommands(link, alias)).join("") +
      (joined === undefined ? "" : loopbackLink(joined)),
    tcBatch: pairs
      .map(
        (pair) =>
          redirectCommands(pair) +
          (options.resolves ? resolverCommands(pair) : "") +
          (ports === undefined ? "" : plainContainerFilters(pair, ports)) +
          (pair === joined ? loopbackFilters(pair) : ""),
      )
      .join(""),
    ...(joined === undefined ? {} : { loopback: loopbackPlan(joined, ports) }),
    ...((options.resolves || ports !== undefined) && pairs.length > 0 ? { localPorts: OWN_PORTS } : {}),
  };
}

function hasLoopbackWithoutIpv6(network: NamespaceNetwork): boolean {
  const loopback = network.interfaces.find(({ flags }) => flags.has("LOOPBACK") && flags.has("UP"));
  return loopback?.addresses.every(({ family }) => family !== 6) ?? false;
}

/** The taps of one container, for removal. */
export function ownPairs(network: NamespaceNetwork, containerId: string): TapPair[] {
  const alias = tapAlias(containerId);
  return network.interfaces.filter((link) => link.alias === alias).map((link) => tapPair(network, link));
}

/** For `tc -force -batch`: takes the redirects away. */
export function redirectRemoval(pairs: readonly TapPair[]): string {
  return pairs
    .flatMap((pair) => (pair.interface === undefined ? [] : [`qdisc del dev ${pair.interface} ingress\n`]))
    .join("");
}

/** For `ip -force -batch`: takes the taps away. */
export function tapRemoval(pairs: readonly TapPair[]): string {
  return pairs.map((pair) => `${multicastRemoval(pair)}link del dev ${pair.tap}\n`).join("");
}

/** Before the tap goes: it is what says that the interface was not so before. */
function multicastRemoval({ interface: link, allMulticast }: TapPair): string {
  return allMulticast && link !== undefined ? `link set dev ${link} allmulticast off\n` : "";
}

function findLeftovers(network: NamespaceNetwork, alias: string, options: PlanOptions): TapPair[] {
  const leftovers: TapPair[] = [];
  for (const link of network.interfaces) {
    if (!isOurTap(link)) continue;
    // A tap without an alias is what a start that was killed between two commands leaves.
    const mine = link.alias === undefined || link.alias === alias;
    const unused = !link.flags.has("LOWER_UP");
    if (!mine && !(unused && (options.hasEnded?.(link.alias ?? "") ?? false))) {
      throw new UruncError(
        "network",
        `the network namespace already belongs to another virtual machine (${link.alias}); ` +
          "two virtual machines cannot share one",
      );
    }
    leftovers.push(tapPair(network, link));
  }
  return leftovers;
}

function isOurTap(link: NamespaceInterface): boolean {
  if (link.alias?.startsWith(ALIAS_PREFIX)) return true;
  return link.kind === "tun" && /^utap[0-9]+$/.test(link.name) && !link.flags.has("LOWER_UP");
}

function tapPair(network: NamespaceNetwork, tap: NamespaceInterface): TapPair {
  const belongsTo = network.interfaces.find((link) => tapName(link.index) === tap.name);
  if (belongsTo === undefined) return { tap: tap.name };
  return {
    tap: tap.name,
    interface: belongsTo.name,
    ...(tap.flags.has(ALL_MULTICAST) ? { allMulticast: true } : {}),
  };
}

function newPair(link: NamespaceInterface): TapPair {
  return {
    tap: tapName(link.index),
    interface: link.name,
    ...(filtersMulticast(link) ? { allMulticast: true } : {}),
  };
}

/** Such an interface passes on what this namespace has joined, and would leave out what the guest joins. */
function filtersMulticast(link: NamespaceInterface): boolean {
  return link.kind !== "veth" && !link.flags.has(ALL_MULTICAST);
}

function isCarried(network: NamespaceNetwork, link: NamespaceInterface): boolean {
  if (!isActive(link) || !link.ethernet || link.mac === undefined) return false;
  // ifb exists unused in every namespace where it is built in; a port's frames are its bridge's business.
  if (link.kind === "tun" || link.kind === "ifb" || link.master !== undefined) return false;
  return !passesThrough(network, link);
}

/** A VLAN (or the like) on top of another interface: its frames arrive there, and are redirected there. */
function passesThrough(network: NamespaceNetwork, link: NamespaceInterface): boolean {
  return network.interfaces.some((other) => other.name === link.parent) && link.kind !== "veth";
}

function isActive(link: NamespaceInterface): boolean {
  return link.flags.has("UP") && !link.flags.has("LOOPBACK") && !isOurTap(link);
}

/** Fails closed: a guest that silently misses an address, a tunnel or a route is not the container. */
function refuseWhatIsLost(network: NamespaceNetwork, carried: readonly NamespaceInterface[]): void {
  for (const link of network.interfaces) {
    if (carried.includes(link)) {
      if (!/^[A-Za-z0-9._@+-]+$/.test(link.name)) {
        throw new UruncError("network", `the interface name ${JSON.stringify(link.name)} is not supported`);
      }
      if (link.flags.has("NOARP")) {
        throw new UruncError(
          "network",
          `the interface ${link.name} resolves no neighbours (${link.kind ?? "no ARP"}), which a virtual machine ` +
            "needs; use ipvlan in its l2 mode, macvlan or a bridge",
        );
      }
    } else if (isActive(link) && link.addresses.some((address) => !isLinkLocal(address))) {
      throw new UruncError(
        "network",
        `the interface ${link.name} (${link.kind ?? "no Ethernet"}) has addresses but cannot be given to a ` +
          "virtual machine; only Ethernet interfaces can",
      );
    }
  }
  const names = new Set(carried.map(({ name }) => name));
  for (const route of network.routes) {
    if (route.type !== UNICAST || OF_THE_KERNEL.has(route.protocol)) continue;
    if (route.hops.some((hop) => names.has(hop.interface))) continue;
    throw new UruncError(
      "network",
      `the route to ${route.destination}/${route.prefixLength} leads to ${route.hops[0]?.interface ?? "no interface"}, ` +
        "which cannot be given to a virtual machine",
    );
  }
}

function findDeadRoutes(network: NamespaceNetwork): DeadRoute[] {
  return network.routes
    .filter((route) => DEAD.has(route.type) && route.protocol !== KERNEL)
    .map(({ family, type, destination, prefixLength, metric }) => ({
      family,
      type,
      destination,
      prefixLength,
      metric,
    }));
}

function tapLink(network: NamespaceNetwork, link: NamespaceInterface): TapLink {
  const routes = network.routes.filter((route) => route.type === UNICAST && hopOn(route, link) !== undefined);
  const defaultMtus = routes.filter((route) => route.prefixLength === 0).flatMap((route) => route.mtu ?? []);
  const addresses = link.addresses
    .filter((address) => !address.unusable)
    .map((address) => guestAddress(address, routes));
  const guestRoutes = routes
    .filter((route) => !isImplied(route, addresses) && route.protocol !== REDIRECT)
    .map((route) => guestRoute(route, link));
  return {
    name: link.name,
    tap: tapName(link.index),
    mac: link.mac ?? "",
    // Some plugins give the interface a large MTU and the default route the real one.
    mtu: Math.min(link.mtu, TAP_MTU_MAX, ...defaultMtus),
    addresses,
    routes: [
      ...guestRoutes.filter((route) => route.gateway === undefined),
      ...guestRoutes.filter((route) => route.gateway !== undefined),
    ],
  };
}

/** Of a multipath route, the first hop on this interface. */
function hopOn(route: NamespaceRoute, link: NamespaceInterface) {
  return route.hops.find((hop) => hop.interface === link.name);
}

/**
 * The guest's kernel makes a route to the network of each address it is given, unless it is told not to. Where this
 * namespace has none (the `ptp` plugin replaces it, `noprefixroute` suppresses it), it is told so. An address with a peer
 * is given as a single one. The routes say the rest.
 */
function guestAddress(address: NamespaceAddress, routes: readonly NamespaceRoute[]): GuestAddress {
  const full = address.family === 4 ? 32 : 128;
  const prefixLength = address.peer === undefined ? address.prefixLength : full;
  const connected = routes.some(
    (route) =>
      route.protocol === KERNEL &&
      route.family === address.family &&
      route.prefixLength === prefixLength &&
      inNetwork(address, route.destination, prefixLength),
  );
  return {
    family: address.family,
    address: address.address,
    prefixLength,
    ...(address.broadcast === undefined ? {} : { broadcast: address.broadcast }),
    // A single IPv4 address has no route to itself in the main table.
    ...(connected || (address.family === 4 && prefixLength === full) ? {} : { withoutRoute: true }),
  };
}

/** The guest's kernel makes this route by itself, of an address or for the link. */
function isImplied(route: NamespaceRoute, addresses: readonly GuestAddress[]): boolean {
  if (route.protocol !== KERNEL) return false;
  if (route.family === 6 && route.destination === "fe80::" && route.prefixLength === 64) return true;
  return addresses.some(
    (address) =>
      !address.withoutRoute &&
      address.family === route.family &&
      address.prefixLength === route.prefixLength &&
      inNetwork(address, route.destination, route.prefixLength),
  );
}

function guestRoute(route: NamespaceRoute, link: NamespaceInterface): GuestRoute {
  const hop = hopOn(route, link);
  if (hop?.foreignGateway) {
    throw new UruncError(
      "network",
      `the route to ${route.destination}/${route.prefixLength} has a gateway of the other address family, which ` +
        "cannot be given to a virtual machine",
    );
  }
  return {
    family: route.family,
    destination: route.destination,
    prefixLength: route.prefixLength,
    ...(hop?.gateway === undefined ? {} : { gateway: hop.gateway }),
    ...(route.source === undefined ? {} : { source: route.source }),
    scope: route.scope,
    metric: route.metric,
    onLink: hop?.onLink ?? false,
    ...(isAdvertised(route) ? { advertised: true } : {}),
  };
}

/** Linux does not act on a router's advertisement any more where a route of another maker is in its default route's place. */
function isAdvertised(route: NamespaceRoute): boolean {
  return route.protocol === ADVERTISED && route.family === 6 && route.prefixLength === 0;
}

function isLinkLocal(address: NamespaceAddress): boolean {
  return address.family === 6 && inNetwork(address, "fe80::", 10);
}

function inNetwork(
  address: { readonly family: IpFamily; readonly address: string },
  network: string,
  prefixLength: number,
): boolean {
  const bytes = addressBytes(address.family, address.address);
  const prefix = addressBytes(address.family, network);
  for (let index = 0, bits = prefixLength; bits > 0; index++, bits -= 8) {
    const mask = bits >= 8 ? 0xff : (0xff << (8 - bits)) & 0xff;
    if (((bytes[index] ?? 0) & mask) !== ((prefix[index] ?? 0) & mask)) return false;
  }
  return true;
}

function tapCommands(link: NamespaceInterface, alias: string): string {
  const tap = tapName(link.index);
  const mtu = Math.min(link.mtu, TAP_MTU_MAX);
  const filters = filtersMulticast(link);
  return (
    // The monitor runs as root without capabilities: opening the tap needs only to be its owner.
    `tuntap add dev ${tap} mode tap user 0 vnet_hdr\n` +
    // Without an address of its own the tap says nothing to the guest.
    `link set dev ${tap} alias ${alias} addrgenmode none mtu ${mtu} ${filters ? "allmulticast on " : ""}up\n` +
    (filters ? `link set dev ${link.name} allmulticast on\n` : "")
  );
}

function redirectCommands(pair: TapPair): string {
  const link = pair.interface;
  // u32 with a match that always holds, since small kernels have no matchall classifier.
  const all = "parent ffff: protocol all u32 match u8 0 0 action mirred egress redirect dev";
  return (
    `qdisc add dev ${link} ingress\n` +
    `qdisc add dev ${pair.tap} ingress\n` +
    `filter add dev ${link} ${all} ${pair.tap}\n` +
    `filter add dev ${pair.tap} ${all} ${link}\n`
  );
}
