import type { GuestAddress } from "./guest-network.ts";
import type { TapPair } from "./plan.ts";

/**
 * The containers of a pod share one loopback: what asks for 127.0.0.1 in the pod's namespace (`kubectl port-forward`, a
 * container that is no machine) is to find the machine's servers. The guest has a loopback of its own, so the two are
 * joined by a link of two addresses over the machine's tap, between which the host's kernel translates.
 *
 * Link-local ones (RFC 3927): a pod has nobody else on its link but its gateway.
 */
export const NAMESPACE_ADDRESS = "169.254.193.1";
const GUEST = "169.254.193.2";
const PREFIX_LENGTH = 30;

/** The second address of the guest's interface. */
export const LOOPBACK_ADDRESS: GuestAddress = { family: 4, address: GUEST, prefixLength: PREFIX_LENGTH };

/** What belongs to one tap. */
export interface LoopbackPlan {
  /** For `iptables-restore --noflush`: chains of ours, which are emptied and filled again. */
  readonly rules: string;
  /** For `iptables`: the kernel's chains whose packets go through ours, and ours. */
  readonly jumps: readonly (readonly [chain: string, own: string])[];
  /** A switch below `/proc/sys` that is to be on: an address of the loopback may pass the tap. */
  readonly route: string;
}

/** For `ip -batch`. */
export function loopbackLink({ tap }: TapPair): string {
  return `address add ${NAMESPACE_ADDRESS}/${PREFIX_LENGTH} dev ${tap} scope link\n`;
}

/** For `tc -batch`: what the guest sends to the host's end stays here. Filters before the one that redirects everything. */
export function loopbackFilters({ tap }: TapPair): string {
  const filter = `filter add dev ${tap} parent ffff: protocol`;
  const hex = `0x${NAMESPACE_ADDRESS.split(".")
    .map((part) => Number(part).toString(16).padStart(2, "0"))
    .join("")}`;
  return (
    // ARP (RFC 826): the target's protocol address.
    `${filter} arp pref 1 u32 match u32 ${hex} 0xffffffff at 24 flowid 1:1\n` +
    `${filter} ip pref 2 u32 match ip dst ${NAMESPACE_ADDRESS}/32 flowid 1:1\n`
  );
}

/** @param ports those of containers that are no machines, which stay the namespace's, and are found from the guest */
export function loopbackPlan({ tap }: TapPair, ports: readonly number[] = []): LoopbackPlan {
  const each = (rule: (match: string) => string) =>
    ports
      .flatMap((port) => ["tcp", "udp"].map((protocol) => rule(`-p ${protocol} --dport ${port}`)))
      .join("");
  const to = (protocol: string) =>
    `-A URUNC-OUTPUT -o lo -d 127.0.0.1/32 -p ${protocol} -j DNAT --to-destination ${GUEST}\n`;
  return {
    rules:
      "*nat\n:URUNC-PREROUTING - [0:0]\n:URUNC-OUTPUT - [0:0]\n:URUNC-POSTROUTING - [0:0]\n" +
      // Its servers may listen on the loopback alone.
      each(
        (match) =>
          `-A URUNC-PREROUTING -i ${tap} -d ${NAMESPACE_ADDRESS}/32 ${match} -j DNAT --to-destination 127.0.0.1\n`,
      ) +
      each((match) => `-A URUNC-OUTPUT -o lo -d 127.0.0.1/32 ${match} -j RETURN\n`) +
      to("tcp") +
      to("udp") +
      `-A URUNC-POSTROUTING -o ${tap} -s 127.0.0.0/8 -j SNAT --to-source ${NAMESPACE_ADDRESS}\n` +
      "COMMIT\n",
    jumps: [
      ["PREROUTING", "URUNC-PREROUTING"],
      ["OUTPUT", "URUNC-OUTPUT"],
      ["POSTROUTING", "URUNC-POSTROUTING"],
    ],
    route: `net/ipv4/conf/${tap}/route_localnet`,
  };
}
