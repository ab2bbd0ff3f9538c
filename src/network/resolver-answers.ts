import type { TapPair } from "./plan.ts";

/**
 * Docker's resolver asks other resolvers from the container's namespace, with its addresses. What they answer arrives at
 * the interface, where every frame goes to the guest. So the namespace's own sockets get ports that the guest's kernel
 * gives out to nobody (its range ends at 60,999), and what comes from port 53 to one of these stays in the namespace, as
 * do the answers by which neighbours are found.
 */
export const FIRST_OWN_PORT = 61440;
const LAST = 65535;
/** Of the ports' 16 bits those that all of them share. */
const MASK = "0xf000";

/** What `ip_local_port_range` is to say. */
export const OWN_PORTS = `${FIRST_OWN_PORT} ${LAST}`;

/** For `tc -batch`: filters before the one that redirects everything, for what resolvers answer. */
export function resolverCommands(pair: TapPair): string {
  return filtersOfOwnPorts(pair, (protocol) => `match ${protocol} sport 53 0xffff `);
}

/** The same for what anybody answers. */
export function ownPortFilters(pair: TapPair): string {
  return filtersOfOwnPorts(pair, () => "");
}

function filtersOfOwnPorts(pair: TapPair, from: (protocol: "ip" | "ip6") => string): string {
  const filter = `filter add dev ${pair.interface} parent ffff: protocol`;
  // The guest gets it as well: the packet may be its own after all.
  const both = `action mirred egress mirror dev ${pair.tap} pass`;
  // Of a connection only one end may know, as the other would reset it.
  const host = "flowid 1:1";
  const ports = (protocol: "ip" | "ip6") =>
    `${from(protocol)}match ${protocol} dport ${FIRST_OWN_PORT} ${MASK}`;
  return (
    // An ARP reply.
    `${filter} arp pref 1 u32 match u16 2 0xffff at 6 ${both}\n` +
    `${filter} ip pref 2 u32 match u8 5 0xf at 0 match ip protocol 17 0xff ${ports("ip")} ${both}\n` +
    `${filter} ip pref 2 u32 match u8 5 0xf at 0 match ip protocol 6 0xff ${ports("ip")} ${host}\n` +
    // A neighbour advertisement (RFC 4861).
    `${filter} ipv6 pref 3 u32 match ip6 protocol 58 0xff match u8 136 0xff at 40 ${both}\n` +
    `${filter} ipv6 pref 3 u32 match ip6 protocol 17 0xff ${ports("ip6")} ${both}\n` +
    `${filter} ipv6 pref 3 u32 match ip6 protocol 6 0xff ${ports("ip6")} ${host}\n`
  );
}
