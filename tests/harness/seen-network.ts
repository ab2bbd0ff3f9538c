/** What a network namespace or a guest shows of its network, in a form that can be compared. */
export interface SeenNetwork {
  /** `NAME MAC MTU ADDRESS/LENGTH …` of each interface that is up, but for the loopback and taps. */
  readonly interfaces: readonly string[];
  /** `TYPE DESTINATION …` of each route of the main table. */
  readonly routes: readonly string[];
}

/** What `readSeenNetwork` reads, as the one command of a shell. */
export const SEEN_NETWORK_COMMAND = "ip -json address show; ip -json -4 route show; ip -json -6 route show";

interface Link {
  readonly ifname: string;
  readonly address: string;
  readonly mtu: number;
  readonly flags: readonly string[];
  readonly addr_info: readonly { readonly local: string; readonly prefixlen: number }[];
}

type Route = Readonly<Record<string, unknown>>;

/** Reads what `SEEN_NETWORK_COMMAND` printed. */
export function readSeenNetwork(output: string): SeenNetwork {
  const [links, ...routes] = output.split("\n").filter((line) => line.trim() !== "");
  const interfaces = (JSON.parse(links ?? "") as Link[])
    .filter(({ ifname, flags }) => flags?.includes("UP") && ifname !== "lo" && !ifname.startsWith("utap"))
    .map(({ ifname, address, mtu, addr_info }) => {
      const addresses = addr_info.map(({ local, prefixlen }) => `${local}/${prefixlen}`).sort();
      return [ifname, address, mtu, ...addresses].join(" ");
    });
  return {
    interfaces: interfaces.sort(),
    routes: routes
      .flatMap((line) => JSON.parse(line) as Route[])
      // Each interface's kernel makes these when it likes.
      .filter(({ dst }) => dst !== "ff00::/8")
      .map(showRoute)
      .sort(),
  };
}

function showRoute(route: Route): string {
  const { type = "unicast", dst, gateway, prefsrc, metric = 0, scope = "global", flags = [] } = route;
  // Who made it, and until when, is another matter in each kernel.
  const dev = type === "unicast" ? route["dev"] : undefined;
  const onLink = (flags as readonly string[]).includes("onlink") ? "onlink" : undefined;
  const parts = { via: gateway, dev, src: prefsrc, metric, scope };
  const words = Object.entries(parts).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name} ${value}`],
  );
  return [type, dst, ...words, ...(onLink === undefined ? [] : [onLink])].join(" ");
}
