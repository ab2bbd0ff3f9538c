import type { GuestNetwork } from "./guest-network.ts";
import type { PublishedPort } from "./published.ts";

/** Locally administered; the guest is alone on its link, so every machine can have the same. */
const MAC = "52:55:0a:00:02:0f";

/**
 * The network of a container without a network namespace of its own (`--network host`): QEMU's user-mode
 * network, with the addresses that it hands out by default. Outgoing connections, and those to published ports.
 */
export function userNetwork(
  published: readonly PublishedPort[] = [],
): Extract<GuestNetwork, { kind: "user" }> {
  const common = { scope: 0, metric: 0, onLink: false, prefixLength: 0 };
  return {
    kind: "user",
    links: [
      {
        name: "eth0",
        mac: MAC,
        mtu: 1500,
        addresses: [
          { family: 4, address: "10.0.2.15", prefixLength: 24, broadcast: "10.0.2.255" },
          { family: 6, address: "fec0::15", prefixLength: 64 },
        ],
        routes: [
          { ...common, family: 4, destination: "0.0.0.0", gateway: "10.0.2.2" },
          { ...common, family: 6, destination: "::", gateway: "fec0::2" },
        ],
      },
    ],
    nameservers: ["10.0.2.3"],
    published,
  };
}
