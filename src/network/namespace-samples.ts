import type { NamespaceAddress, NamespaceInterface, NamespaceNetwork, NamespaceRoute } from "./namespace.ts";

/** What tests make namespaces of: an interface as of Docker's bridge, addresses and routes, each with changes. */

export const MAC = "02:42:ac:11:00:02";

export function link(change: Partial<NamespaceInterface> = {}): NamespaceInterface {
  return {
    index: 7,
    name: "eth0",
    flags: new Set(["BROADCAST", "MULTICAST", "UP", "LOWER_UP"]),
    ethernet: true,
    kind: "veth",
    mac: MAC,
    mtu: 1500,
    addresses: [],
    ...change,
  };
}

/** A link of a kind of its own: a real device. */
export function without<Key extends keyof NamespaceInterface>(of: NamespaceInterface, key: Key) {
  const { [key]: _, ...rest } = of;
  return rest as NamespaceInterface;
}

export const LOOPBACK = without(
  link({
    index: 1,
    name: "lo",
    flags: new Set(["LOOPBACK", "UP", "LOWER_UP"]),
    ethernet: false,
    addresses: [ip4("127.0.0.1", 8), ip6("::1", 128)],
  }),
  "mac",
);

export function ip4(
  address: string,
  prefixLength: number,
  more: Partial<NamespaceAddress> = {},
): NamespaceAddress {
  return { family: 4, address, prefixLength, unusable: false, ...more };
}

export function ip6(
  address: string,
  prefixLength: number,
  more: Partial<NamespaceAddress> = {},
): NamespaceAddress {
  return { family: 6, address, prefixLength, unusable: false, ...more };
}

export function route(
  destination: string,
  prefixLength: number,
  change: Partial<NamespaceRoute> & { gateway?: string; on?: string } = {},
): NamespaceRoute {
  const { gateway, on = "eth0", ...rest } = change;
  return {
    family: destination.includes(":") ? 6 : 4,
    type: 1,
    protocol: 3,
    scope: 0,
    destination,
    prefixLength,
    metric: 0,
    hops: [
      { interface: on, foreignGateway: false, onLink: false, ...(gateway === undefined ? {} : { gateway }) },
    ],
    ...rest,
  };
}

export const CONNECTED = route("172.17.0.0", 16, { protocol: 2, scope: 253, source: "172.17.0.2" });
export const DEFAULT = route("0.0.0.0", 0, { gateway: "172.17.0.1" });

export function network(
  interfaces: readonly NamespaceInterface[],
  routes: readonly NamespaceRoute[] = [],
): NamespaceNetwork {
  return { interfaces: [LOOPBACK, ...interfaces], routes };
}
