import { UruncError } from "../errors.ts";
import { parseAddress, parseMac } from "./address.ts";
import { runInNamespace } from "./command.ts";
import type { IpFamily } from "./guest-network.ts";

/** What a network namespace holds: its interfaces, and the routes of its main table. */
export interface NamespaceNetwork {
  readonly interfaces: readonly NamespaceInterface[];
  readonly routes: readonly NamespaceRoute[];
}

export interface NamespaceInterface {
  readonly index: number;
  readonly name: string;
  /** `UP`, `LOWER_UP`, `LOOPBACK`, `NOARP`, … as iproute2 names them. */
  readonly flags: ReadonlySet<string>;
  /** It speaks Ethernet frames. */
  readonly ethernet: boolean;
  /** `veth`, `macvlan`, `tun`, …; absent for a real device. */
  readonly kind?: string;
  /** The bridge or bond that it is a port of. */
  readonly master?: string;
  /** The parent is an interface of this namespace (a VLAN of `eth0`, say): its frames pass that one. */
  readonly parent?: string;
  readonly alias?: string;
  readonly mac?: string;
  /** Bytes. */
  readonly mtu: number;
  readonly addresses: readonly NamespaceAddress[];
}

export interface NamespaceAddress {
  readonly family: IpFamily;
  readonly address: string;
  readonly prefixLength: number;
  readonly broadcast?: string;
  /** The other end of a point-to-point address; the prefix length is then the peer's. */
  readonly peer?: string;
  /** Another host has it (duplicate address detection failed), or it changes by itself. */
  readonly unusable: boolean;
}

export interface NamespaceRoute {
  readonly family: IpFamily;
  /** rtnetlink's route type: 1 unicast, 6 blackhole, 7 unreachable, 8 prohibit, … */
  readonly type: number;
  /** rtnetlink's protocol: 2 is the kernel's own. */
  readonly protocol: number;
  readonly scope: number;
  readonly destination: string;
  readonly prefixLength: number;
  readonly metric: number;
  /** Bytes: what a network plugin limits packets on this route to. */
  readonly mtu?: number;
  readonly source?: string;
  /** Where it goes: none for a blackhole, several for a multipath route. */
  readonly hops: readonly NamespaceHop[];
}

export interface NamespaceHop {
  readonly interface: string;
  readonly gateway?: string;
  /** The gateway is of the other family (`via inet6 …`). */
  readonly foreignGateway: boolean;
  readonly onLink: boolean;
}

/** One process reads everything: `addr` with details is links and addresses, table `all` both families. */
const READ_BATCH = "addr show\nroute show table all\n";

/**
 * Reads the network namespace at `path` (`/proc/PID/ns/net` or a bind of it).
 * Throws UruncError("network").
 */
export async function readNamespace(path: string): Promise<NamespaceNetwork> {
  const result = await runInNamespace(
    path,
    ["ip", "-json", "-details", "-Numeric", "-batch", "-"],
    READ_BATCH,
  );
  if (result.status !== 0) {
    throw new UruncError(
      "network",
      `the network namespace ${path} cannot be read: ip: ${result.stderr.trim()}`,
    );
  }
  return parseNamespace(result.stdout);
}

/**
 * Reads the output of `READ_BATCH`: two JSON arrays, each on a line of its own. What is not understood but
 * does not matter is passed over; a value of a wrong shape where one matters throws UruncError("network").
 */
export function parseNamespace(output: string): NamespaceNetwork {
  const [links, routes, ...rest] = output.split("\n").filter((line) => line.trim() !== "");
  if (links === undefined || routes === undefined || rest.length > 0) throw unexpected("two lists", output);
  return { interfaces: parseInterfaces(parseJson(links)), routes: parseRoutes(parseJson(routes)) };
}

/** Reads what `ip -json -details addr show` prints. */
export function parseInterfaces(json: unknown): NamespaceInterface[] {
  // With `-batch`, iproute2 prints an empty object for what a filter left out.
  return objects(json, "interfaces")
    .filter((link) => "ifindex" in link)
    .map(parseInterface);
}

/** Reads what `ip -json -details route show table all` prints, and keeps the main table. */
export function parseRoutes(json: unknown): NamespaceRoute[] {
  return objects(json, "routes")
    .filter((route) => named(route["table"], TABLES, 254) === 254)
    .flatMap(parseRoute);
}

function parseInterface(link: Json): NamespaceInterface {
  const name = text(link["ifname"], "ifname");
  const info = isObject(link["linkinfo"]) ? link["linkinfo"] : {};
  const mac = optionalText(link["address"]);
  return {
    index: number(link["ifindex"], "ifindex"),
    name,
    flags: new Set(list(link["flags"], "flags").map((flag) => text(flag, "flags"))),
    ethernet: link["link_type"] === "[1]" || link["link_type"] === "ether",
    ...optional("kind", optionalText(info["info_kind"])),
    ...optional("master", optionalText(link["master"])),
    ...optional("parent", link["link_netnsid"] === undefined ? optionalText(link["link"]) : undefined),
    ...optional("alias", optionalText(link["ifalias"])),
    ...optional("mac", mac !== undefined && parseMac(mac) !== undefined ? mac : undefined),
    mtu: number(link["mtu"], "mtu"),
    addresses: objects(link["addr_info"] ?? [], "addr_info").flatMap(parseInterfaceAddress),
  };
}

function parseInterfaceAddress(info: Json): NamespaceAddress[] {
  const family = info["family"] === "inet" ? 4 : info["family"] === "inet6" ? 6 : undefined;
  if (family === undefined) return [];
  const address = addressText(family, info["local"]);
  const broadcast = info["broadcast"] === undefined ? undefined : addressText(family, info["broadcast"]);
  const peer = info["address"] === undefined ? undefined : addressText(family, info["address"]);
  return [
    {
      family,
      address,
      prefixLength: prefix(family, info["prefixlen"]),
      ...optional("broadcast", broadcast),
      ...optional("peer", peer),
      unusable: info["dadfailed"] === true || info["temporary"] === true,
    },
  ];
}

function parseRoute(route: Json): NamespaceRoute[] {
  const destinationText = text(route["dst"], "dst");
  const hops = objects(route["nexthops"] ?? [route], "nexthops");
  const family = routeFamily(route, destinationText, hops);
  const [address, length] = destinationText === "default" ? [undefined, "0"] : destinationText.split("/");
  const full = family === 4 ? 32 : 128;
  const mtu = objects(route["metrics"] ?? [], "metrics").find((metric) => typeof metric["mtu"] === "number");
  const source = route["prefsrc"] === undefined ? undefined : addressText(family, route["prefsrc"]);
  return [
    {
      family,
      type: named(route["type"], TYPES, 1),
      protocol: named(route["protocol"], PROTOCOLS, 3),
      scope: named(route["scope"], SCOPES, 0),
      destination: address === undefined ? (family === 4 ? "0.0.0.0" : "::") : addressText(family, address),
      prefixLength: length === undefined ? full : prefix(family, Number(length)),
      metric: route["metric"] === undefined ? 0 : number(route["metric"], "metric"),
      ...optional("mtu", mtu === undefined ? undefined : number(mtu["mtu"], "mtu")),
      ...optional("source", source),
      hops: hops.filter((hop) => "dev" in hop).map((hop) => parseHop(family, hop)),
    },
  ];
}

function parseHop(family: IpFamily, hop: Json): NamespaceHop {
  const gateway = hop["gateway"] === undefined ? undefined : addressText(family, hop["gateway"]);
  const flags = list(hop["flags"] ?? [], "flags");
  return {
    interface: text(hop["dev"], "dev"),
    ...optional("gateway", gateway),
    foreignGateway: hop["via"] !== undefined,
    onLink: flags.includes("onlink"),
  };
}

/** iproute2 does not say the family of a route: a default one shows it by `pref`, which only IPv6 has. */
function routeFamily(route: Json, destination: string, hops: readonly Json[]): IpFamily {
  if (destination !== "default") return destination.includes(":") ? 6 : 4;
  if (route["pref"] !== undefined) return 6;
  const gateway = hops.map((hop) => hop["gateway"]).find((value) => typeof value === "string");
  return typeof gateway === "string" && gateway.includes(":") ? 6 : 4;
}

const TABLES: Readonly<Record<string, number>> = { main: 254, local: 255, default: 253 };
const SCOPES: Readonly<Record<string, number>> = { global: 0, universe: 0, site: 200, link: 253, host: 254 };
const PROTOCOLS: Readonly<Record<string, number>> = { redirect: 1, kernel: 2, boot: 3, static: 4, ra: 9 };
const TYPES: Readonly<Record<string, number>> = {
  unicast: 1,
  local: 2,
  broadcast: 3,
  anycast: 4,
  multicast: 5,
  blackhole: 6,
  unreachable: 7,
  prohibit: 8,
  throw: 9,
  nat: 10,
};

type Json = Record<string, unknown>;

/** A number that iproute2 prints as text, by its name where `-Numeric` had no effect, or not at all. */
function named(value: unknown, names: Readonly<Record<string, number>>, absent: number): number {
  if (value === undefined) return absent;
  if (typeof value === "number") return value;
  if (typeof value !== "string") throw unexpected("a name or number", value);
  if (/^[0-9]+$/.test(value)) return Number(value);
  // An unknown name is something of the administrator's: none of those that mean something here.
  return names[value] ?? -1;
}

function addressText(family: IpFamily, value: unknown): string {
  if (typeof value !== "string" || parseAddress(family, value) === undefined) {
    throw unexpected(`an IPv${family} address`, value);
  }
  return value;
}

function prefix(family: IpFamily, value: unknown): number {
  const length = number(value, "a prefix length");
  if (length > (family === 4 ? 32 : 128)) throw unexpected("a prefix length", value);
  return length;
}

function parseJson(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    throw unexpected("JSON", line);
  }
}

function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function list(value: unknown, what: string): readonly unknown[] {
  if (!Array.isArray(value)) throw unexpected(`a list of ${what}`, value);
  return value;
}

function objects(value: unknown, what: string): Json[] {
  return list(value, what).map((entry) => {
    if (!isObject(entry)) throw unexpected(`an object in ${what}`, entry);
    return entry;
  });
}

function text(value: unknown, what: string): string {
  if (typeof value !== "string" || value === "") throw unexpected(what, value);
  return value;
}

function optionalText(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}

function number(value: unknown, what: string): number {
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0) throw unexpected(what, value);
  return value;
}

/** A member that is left out when there is no value. */
function optional<Key extends string, Value>(key: Key, value: Value | undefined): { [K in Key]?: Value } {
  return value === undefined ? {} : ({ [key]: value } as { [K in Key]: Value });
}

function unexpected(what: string, found: unknown): UruncError {
  const shown = (JSON.stringify(found) ?? "nothing").slice(0, 200);
  return new UruncError("network", `ip printed ${shown} where ${what} was expected; is iproute2 too old?`);
}
