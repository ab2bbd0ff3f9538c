import type { PublishedPort } from "./published.ts";

/**
 * What the guest's network is made of: the `LINK`, `ADDRESS` and `ROUTE` records of its document, and the
 * devices of its machine. Addresses are text here, checked when they were read; `address.ts` makes bytes.
 */
export type GuestNetwork =
  /** A namespace with nothing but a loopback, which the guest has of its own. */
  | ({ readonly kind: "none" } & GuestNamespace)
  /** A tap for each interface of the namespace. `links[n]` is the record's link number n. */
  | ({
      readonly kind: "tap";
      readonly links: readonly TapLink[];
      /** Ports of 127.0.0.1 that are those of the pod's other containers, and where they lead. Default: there are none. */
      readonly elsewhere?: { readonly address: string; readonly ports: readonly number[] };
    } & GuestNamespace)
  /** The monitor's own network stack, for a container that has no namespace of its own. */
  | {
      readonly kind: "user";
      readonly links: readonly [GuestLink];
      /** Resolvers that the monitor's stack serves to the guest. */
      readonly nameservers: readonly string[];
      /** Ports of the host's that lead to the guest. */
      readonly published?: readonly PublishedPort[];
    };

/** What is to be known of the namespace besides its links. */
export interface GuestNamespace {
  /** The loopback is without an IPv6 address, as of containers whose network has none. Default: with one. */
  readonly loopbackIpv6?: false;
  /** Default: none. */
  readonly deadRoutes?: readonly DeadRoute[];
}

/** An interface of the guest, with what is set on it. */
export interface GuestLink {
  /** The name it has in the guest. */
  readonly name: string;
  /** `xx:xx:xx:xx:xx:xx` */
  readonly mac: string;
  /** Bytes. */
  readonly mtu: number;
  readonly addresses: readonly GuestAddress[];
  /** In an order in which they can be added: those without a gateway first. */
  readonly routes: readonly GuestRoute[];
}

/** An interface of the guest that is the double of one of the namespace. */
export interface TapLink extends GuestLink {
  /** The tap on the host's side, in the container's namespace. */
  readonly tap: string;
}

export type IpFamily = 4 | 6;

export interface GuestAddress {
  readonly family: IpFamily;
  readonly address: string;
  readonly prefixLength: number;
  /** IPv4 only. */
  readonly broadcast?: string;
  /** No route to its network comes with it. Default: one does. */
  readonly withoutRoute?: true;
}

/** A route that leads to no link. */
export interface DeadRoute {
  readonly family: IpFamily;
  /** rtnetlink's number: 6 blackhole, 7 unreachable, 8 prohibit, 9 throw. */
  readonly type: number;
  readonly destination: string;
  readonly prefixLength: number;
  /** 0: the kernel's default. */
  readonly metric: number;
}

export interface GuestRoute {
  readonly family: IpFamily;
  /** `0.0.0.0` or `::` with prefix length 0 for a default route. */
  readonly destination: string;
  readonly prefixLength: number;
  readonly gateway?: string;
  readonly source?: string;
  /** rtnetlink's number: 0 universe, 200 site, 253 link, 254 host. */
  readonly scope: number;
  /** 0: the kernel's default. */
  readonly metric: number;
  /** The gateway is reached on the link although no route says so. */
  readonly onLink: boolean;
  /** A default route of IPv6 that a router has advertised. Default: no. */
  readonly advertised?: true;
}
