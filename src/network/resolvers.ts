import { RESOLVERS_MAX } from "../guest/protocol.ts";
import { parseAddress } from "./address.ts";
import type { IpFamily } from "./guest-network.ts";

/** A resolver that listens on a loopback address of the host's side, where the guest does not reach it. */
export interface Resolver {
  readonly family: IpFamily;
  readonly address: string;
}

/** Docker's own resolver, in the network namespace of every container on a network that a user made. */
const DOCKER_RESOLVER = "127.0.0.11";

/**
 * The resolvers that a machine's names are to be carried to.
 *
 * In a namespace of the container's own there is Docker's and no other: what listens on another loopback address there is
 * the container itself, a dnsmasq for instance, and its loopback is the guest's. In the host's namespace every loopback
 * address is the host's.
 *
 * @param text a `resolv.conf`
 */
export function carriedResolvers(text: string, namespace: "host" | "own"): Resolver[] {
  const resolvers = loopbackResolvers(text);
  return namespace === "host" ? resolvers : resolvers.filter(({ address }) => address === DOCKER_RESOLVER);
}

/** The loopback addresses among those that a C library asks: the first three `nameserver` lines (resolv.conf(5)). */
function loopbackResolvers(text: string): Resolver[] {
  const named = text
    .split("\n")
    .flatMap((line) => /^nameserver[ \t]+([^ \t;#]+)/.exec(line)?.[1] ?? [])
    .slice(0, RESOLVERS_MAX);
  return [...new Set(named)].flatMap((address) => loopback(address) ?? []);
}

function loopback(text: string): Resolver | undefined {
  if (parseAddress(4, text)?.[0] === 127) return { family: 4, address: text };
  const bytes = parseAddress(6, text);
  return bytes?.every((byte, index) => byte === (index === 15 ? 1 : 0))
    ? { family: 6, address: text }
    : undefined;
}
