import type { VmNetwork } from "../monitor/vm-spec.ts";
import type { GuestNetwork } from "./guest-network.ts";

/** The network devices of the machine whose guest has this network. */
export function vmNetwork(guest: GuestNetwork): VmNetwork {
  switch (guest.kind) {
    case "none":
      return { kind: "none" };
    case "user":
      return { kind: "user", mac: guest.links[0].mac, published: guest.published ?? [] };
    case "tap":
      return { kind: "tap", taps: guest.links.map(({ tap, mac, mtu }) => ({ tap, mac, mtu })) };
  }
}
