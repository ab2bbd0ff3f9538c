import type { TapPair } from "./plan.ts";
import { ownPortFilters } from "./resolver-answers.ts";

/** What is to be known of a pod's network beside what its namespace holds. */
export interface PodNetwork {
  /** Whether the namespace's loopback is to lead to the guest, as others of the pod expect it. */
  readonly joined: boolean;
  /** TCP and UDP ports of the pod's containers that are no machines. Absent: there are none of these. */
  readonly ports?: readonly number[];
}

/**
 * For `tc -batch`: containers that are no machines live in the namespace, so that what is sent to their ports, and what
 * answers them, stays there. Filters before the one that redirects everything to the guest.
 */
export function plainContainerFilters(pair: TapPair, ports: readonly number[]): string {
  const filter = (family: "ip" | "ip6", match: string) =>
    `filter add dev ${pair.interface} parent ffff: protocol ${family === "ip" ? "ip pref 2" : "ipv6 pref 3"} u32 ` +
    `${family === "ip" ? "match u8 5 0xf at 0 " : ""}${match} flowid 1:1\n`;
  const each = ports.flatMap((port) =>
    (["ip", "ip6"] as const).flatMap((family) =>
      [6, 17].map((protocol) =>
        filter(family, `match ${family} protocol ${protocol} 0xff match ${family} dport ${port} 0xffff`),
      ),
    ),
  );
  return ownPortFilters(pair) + each.join("");
}
