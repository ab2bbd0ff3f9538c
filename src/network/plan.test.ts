import { expect, test } from "bun:test";
import type { NamespaceInterface, NamespaceNetwork, NamespaceRoute } from "./namespace.ts";
import {
  CONNECTED,
  DEFAULT,
  ip4,
  ip6,
  LOOPBACK,
  link,
  MAC,
  network,
  route,
  without,
} from "./namespace-samples.ts";
import { ownPairs, planNetwork, redirectRemoval, tapAlias, tapName, tapRemoval } from "./plan.ts";

/** The guest's links for a namespace. */
function linksOf(of: NamespaceNetwork) {
  const { guest } = planNetwork(of, "box");
  return guest.kind === "tap" ? guest.links : [];
}

test("Docker's bridge: one tap with the interface's MAC, addresses and default route", () => {
  const eth0 = link({ addresses: [ip4("172.17.0.2", 16, { broadcast: "172.17.255.255" })] });
  expect(planNetwork(network([eth0], [CONNECTED, DEFAULT]), "box")).toEqual({
    guest: {
      kind: "tap",
      links: [
        {
          name: "eth0",
          tap: "utap7",
          mac: MAC,
          mtu: 1500,
          addresses: [{ family: 4, address: "172.17.0.2", prefixLength: 16, broadcast: "172.17.255.255" }],
          routes: [
            {
              family: 4,
              destination: "0.0.0.0",
              prefixLength: 0,
              gateway: "172.17.0.1",
              scope: 0,
              metric: 0,
              onLink: false,
            },
          ],
        },
      ],
    },
    leftovers: [],
    pairs: [{ tap: "utap7", interface: "eth0" }],
    ipBatch:
      "tuntap add dev utap7 mode tap user 0 vnet_hdr\n" +
      "link set dev utap7 alias urunc:box addrgenmode none mtu 1500 up\n",
    tcBatch:
      "qdisc add dev eth0 ingress\n" +
      "qdisc add dev utap7 ingress\n" +
      "filter add dev eth0 parent ffff: protocol all u32 match u8 0 0 action mirred egress redirect dev utap7\n" +
      "filter add dev utap7 parent ffff: protocol all u32 match u8 0 0 action mirred egress redirect dev eth0\n",
  });
});

test("where a resolver asks from the namespace, answers to its ports stay there, before all else is redirected", () => {
  const plan = planNetwork(network([link()]), "box", { resolves: true });
  expect(plan.localPorts).toBe("61440 65535");
  const filters = plan.tcBatch.split("\n").filter((line) => line.startsWith("filter add dev eth0 "));
  const ports = (protocol: string) =>
    `match ${protocol} sport 53 0xffff match ${protocol} dport 61440 0xf000`;
  const both = "action mirred egress mirror dev utap7 pass";
  expect(filters.map((line) => line.replace("filter add dev eth0 parent ffff: protocol ", ""))).toEqual([
    "all u32 match u8 0 0 action mirred egress redirect dev utap7",
    `arp pref 1 u32 match u16 2 0xffff at 6 ${both}`,
    `ip pref 2 u32 match u8 5 0xf at 0 match ip protocol 17 0xff ${ports("ip")} ${both}`,
    `ip pref 2 u32 match u8 5 0xf at 0 match ip protocol 6 0xff ${ports("ip")} flowid 1:1`,
    `ipv6 pref 3 u32 match ip6 protocol 58 0xff match u8 136 0xff at 40 ${both}`,
    `ipv6 pref 3 u32 match ip6 protocol 17 0xff ${ports("ip6")} ${both}`,
    `ipv6 pref 3 u32 match ip6 protocol 6 0xff ${ports("ip6")} flowid 1:1`,
  ]);
  expect(planNetwork(network([LOOPBACK]), "box", { resolves: true }).localPorts).toBeUndefined();
});

test.each([
  ["nothing but a loopback", []],
  ["an interface that is down", [link({ flags: new Set(["BROADCAST"]), addresses: [ip4("10.0.0.1", 8)] })]],
  ["an unused ifb", [link({ name: "ifb0", kind: "ifb" })]],
  ["a tunnel without an address", [link({ name: "tunl0", kind: "ipip", ethernet: false })]],
  [
    "a tunnel with a link-local address",
    [link({ name: "wg0", kind: "wireguard", ethernet: false, addresses: [ip6("fe80::1", 64)] })],
  ],
  ["somebody's tap", [link({ name: "tap0", kind: "tun" })]],
] as [string, NamespaceInterface[]][])("%s: the guest has none, and nothing is done", (_, interfaces) => {
  expect(planNetwork(network(interfaces), "box")).toEqual({
    guest: { kind: "none" },
    leftovers: [],
    pairs: [],
    ipBatch: "",
    tcBatch: "",
  });
});

test("a bridge is carried, and its port is not", () => {
  const of = network([
    link({ name: "br0", kind: "bridge" }),
    link({ index: 8, name: "eth1", master: "br0" }),
  ]);
  expect(planNetwork(of, "box").pairs).toMatchObject([{ tap: "utap7", interface: "br0" }]);
});

test("a real device and a macvlan are carried; a VLAN with an address is not lost in silence", () => {
  const real = without(link({ index: 3, name: "enp1s0" }), "kind");
  expect(linksOf(network([real, link({ kind: "macvlan" })])).map(({ name }) => name)).toEqual([
    "enp1s0",
    "eth0",
  ]);
  const vlan = link({ index: 9, name: "eth0.5", kind: "vlan", parent: "eth0" });
  expect(linksOf(network([link(), vlan])).map(({ name }) => name)).toEqual(["eth0"]);
  expect(() => planNetwork(network([link(), { ...vlan, addresses: [ip4("10.5.0.2", 24)] }]), "box")).toThrow(
    "the interface eth0.5 (vlan) has addresses but cannot be given to a virtual machine",
  );
});

test("a veth whose other end is in the same namespace is carried like any other", () => {
  const of = network([link({ parent: "eth1" }), link({ index: 8, name: "eth1", parent: "eth0" })]);
  expect(linksOf(of)).toHaveLength(2);
});

test("the MTU is the smallest of the interface's, its default routes' and what a tap carries", () => {
  const mtuOf = (mtu: number, ...routes: NamespaceRoute[]) =>
    linksOf(network([link({ mtu }), link({ index: 8, name: "eth1" })], routes))[0]?.mtu;
  expect(mtuOf(9000)).toBe(9000);
  expect(mtuOf(65536)).toBe(65521);
  expect(mtuOf(9000, { ...DEFAULT, mtu: 1450 })).toBe(1450);
  expect(mtuOf(1400, { ...DEFAULT, mtu: 1450 })).toBe(1400);
  expect(mtuOf(9000, { ...CONNECTED, mtu: 1300 })).toBe(9000);
  // Another interface's default route says nothing about this one.
  expect(mtuOf(9000, { ...route("0.0.0.0", 0, { on: "eth1" }), mtu: 1280 })).toBe(9000);
  expect(planNetwork(network([link({ mtu: 65536 })]), "box").ipBatch).toContain(" mtu 65521 up\n");
  // The tap itself takes whatever the interface can.
  expect(planNetwork(network([link({ mtu: 9000 })], [{ ...DEFAULT, mtu: 1450 }]), "box").ipBatch).toContain(
    " mtu 9000 up\n",
  );
});

test("an address whose network the kernel has no route to comes without one", () => {
  const eth0 = link({ addresses: [ip4("10.1.0.5", 24)] });
  const toGateway = route("10.1.0.1", 32, { scope: 253, source: "10.1.0.5" });
  const through = route("10.1.0.0", 24, { gateway: "10.1.0.1", source: "10.1.0.5" });
  const [carried] = linksOf(network([eth0], [through, toGateway]));
  expect(carried?.addresses).toEqual([
    { family: 4, address: "10.1.0.5", prefixLength: 24, withoutRoute: true },
  ]);
  // What needs no gateway comes first: the other can be added only then.
  expect(carried?.routes.map(({ destination, gateway }) => [destination, gateway])).toEqual([
    ["10.1.0.1", undefined],
    ["10.1.0.0", "10.1.0.1"],
  ]);
  expect(carried?.routes[0]).toMatchObject({ source: "10.1.0.5", scope: 253 });
});

test("a point-to-point address is a single one, and its peer a route", () => {
  const eth0 = link({ addresses: [ip4("10.0.0.2", 32, { peer: "10.0.0.1" })] });
  const peer = route("10.0.0.1", 32, { protocol: 2, scope: 253, source: "10.0.0.2" });
  const [carried] = linksOf(network([eth0], [peer]));
  expect(carried?.addresses).toEqual([{ family: 4, address: "10.0.0.2", prefixLength: 32 }]);
  expect(carried?.routes).toMatchObject([{ destination: "10.0.0.1", prefixLength: 32 }]);
});

test("so is one whose peer is a network that it is in itself", () => {
  const eth0 = link({ addresses: [ip4("10.0.0.2", 24, { peer: "10.0.0.1" })] });
  const peers = route("10.0.0.0", 24, { protocol: 2, scope: 253, source: "10.0.0.2" });
  const [carried] = linksOf(network([eth0], [peers]));
  expect(carried?.addresses).toMatchObject([{ address: "10.0.0.2", prefixLength: 32 }]);
  expect(carried?.routes).toMatchObject([{ destination: "10.0.0.0", prefixLength: 24 }]);
});

test("a prefix that does not end at a byte is compared by its bits", () => {
  const of = (address: string) =>
    linksOf(network([link({ addresses: [ip4(address, 20)] })], [route("10.0.16.0", 20, { protocol: 2 })]))[0];
  expect(of("10.0.31.255")?.addresses[0]?.withoutRoute).toBeUndefined();
  expect(of("10.0.31.255")?.routes).toEqual([]);
  expect(of("10.0.32.0")?.addresses[0]?.withoutRoute).toBe(true);
  expect(of("10.0.32.0")?.routes).toHaveLength(1);
});

test("IPv6: link-local addresses are carried, and the routes that they imply are not", () => {
  const eth0 = link({
    addresses: [
      ip6("fd00::2", 64),
      ip6("fe80::42:acff:fe11:2", 64),
      ip6("fe80::99", 64),
      ip6("fd00::dead", 64, { unusable: true }),
    ],
  });
  const [carried] = linksOf(
    network(
      [eth0],
      [
        route("fd00::", 64, { protocol: 2, metric: 256 }),
        route("fe80::", 64, { protocol: 2, metric: 256 }),
        route("::", 0, { gateway: "fd00::1", metric: 1024 }),
        route("fd00::7", 128, { protocol: 1, gateway: "fd00::8" }),
      ],
    ),
  );
  expect(carried?.addresses.map(({ address }) => address)).toEqual([
    "fd00::2",
    "fe80::42:acff:fe11:2",
    "fe80::99",
  ]);
  expect(carried?.routes.map(({ destination, metric }) => [destination, metric])).toEqual([["::", 1024]]);
});

test("a default route that a router has advertised is said to be one; of IPv4 there is none", () => {
  const of = (change: Parameters<typeof route>[2], destination = "::") =>
    linksOf(network([link()], [route(destination, 0, { gateway: "fe80::1", ...change })]))[0]?.routes[0];
  expect(of({ protocol: 9 })).toMatchObject({ gateway: "fe80::1", advertised: true });
  expect(of({ protocol: 3 })).not.toHaveProperty("advertised");
  expect(of({ protocol: 9, gateway: "10.0.0.1" }, "0.0.0.0")).not.toHaveProperty("advertised");
});

test("a route of somebody's own to the same network as an address stays", () => {
  const eth0 = link({ addresses: [ip4("172.17.0.2", 16)] });
  const own = route("172.17.0.0", 16, { metric: 50 });
  expect(linksOf(network([eth0], [CONNECTED, own]))[0]?.routes).toMatchObject([{ metric: 50 }]);
});

test("each interface has its own routes; of a multipath one, its own hop", () => {
  const both: NamespaceRoute = {
    ...DEFAULT,
    hops: [
      { interface: "eth0", gateway: "10.0.0.1", foreignGateway: false, onLink: false },
      { interface: "eth1", gateway: "10.1.0.1", foreignGateway: false, onLink: true },
    ],
  };
  const of = network(
    [link(), link({ index: 8, name: "eth1" })],
    [both, route("10.9.0.0", 16, { on: "eth1" })],
  );
  const links = linksOf(of);
  expect(links[0]?.routes).toMatchObject([{ gateway: "10.0.0.1", onLink: false }]);
  expect(links[1]?.routes).toMatchObject([
    { destination: "10.9.0.0" },
    { gateway: "10.1.0.1", onLink: true },
  ]);
});

test.each([6, 7, 8, 9])(
  "a route of type %d leads to no link: the guest has it, unless it is the kernel's",
  (type) => {
    const dead = { ...route("10.6.0.0", 16, { metric: 5 }), type, hops: [] };
    const carried = { family: 4, type, destination: "10.6.0.0", prefixLength: 16, metric: 5 } as const;
    const guestOf = (route: NamespaceRoute, ...links: NamespaceInterface[]) =>
      planNetwork(network(links, [route]), "box").guest;
    expect(guestOf(dead, link())).toMatchObject({
      kind: "tap",
      links: [{ routes: [] }],
      deadRoutes: [carried],
    });
    expect(guestOf(dead)).toEqual({ kind: "none", deadRoutes: [carried] });
    expect(guestOf({ ...dead, protocol: 2 }, link()).deadRoutes).toBeUndefined();
  },
);

test.each([2, 3, 5])("a route of type %d is not the guest's", (type) => {
  expect(linksOf(network([link()], [{ ...DEFAULT, type }]))[0]?.routes).toEqual([]);
});

test("a route that leads to what is not carried is not lost in silence, unless it comes by itself", () => {
  const tunnel = link({ index: 9, name: "wg0", kind: "wireguard", ethernet: false });
  const lost = route("10.8.0.0", 16, { on: "wg0" });
  expect(() => planNetwork(network([link(), tunnel], [lost]), "box")).toThrow(
    "the route to 10.8.0.0/16 leads to wg0, which cannot be given to a virtual machine",
  );
  for (const protocol of [1, 2, 9]) {
    expect(linksOf(network([link(), tunnel], [{ ...lost, protocol }]))).toHaveLength(1);
  }
});

test("what passes on only the multicast frames that the namespace has joined is made to pass on all", () => {
  const macvlan = link({ kind: "macvlan" });
  const plan = planNetwork(network([macvlan]), "box");
  expect(plan.pairs).toEqual([{ tap: "utap7", interface: "eth0", allMulticast: true }]);
  expect(plan.ipBatch).toBe(
    "tuntap add dev utap7 mode tap user 0 vnet_hdr\n" +
      "link set dev utap7 alias urunc:box addrgenmode none mtu 1500 allmulticast on up\n" +
      "link set dev eth0 allmulticast on\n",
  );
  // The tap keeps that it was not so before.
  const made = { ...TAP, flags: new Set(["UP", "ALLMULTI"]) };
  expect(tapRemoval(ownPairs(network([macvlan, made]), "box"))).toBe(
    "link set dev eth0 allmulticast off\nlink del dev utap7\n",
  );
  const all = { ...macvlan, flags: new Set([...macvlan.flags, "ALLMULTI"]) };
  expect(planNetwork(network([all]), "box").ipBatch).not.toContain("allmulticast");
  expect(tapRemoval(ownPairs(network([all, TAP]), "box"))).toBe("link del dev utap7\n");
});

test("what cannot be carried over is refused, by its name", () => {
  const wireguard = link({
    name: "wg0",
    kind: "wireguard",
    ethernet: false,
    addresses: [ip4("10.8.0.2", 24)],
  });
  expect(() => planNetwork(network([link(), wireguard]), "box")).toThrow("the interface wg0 (wireguard) has");
  const ipvlan = link({ kind: "ipvlan", flags: new Set(["UP", "LOWER_UP", "NOARP"]) });
  expect(() => planNetwork(network([ipvlan]), "box")).toThrow(
    "the interface eth0 resolves no neighbours (ipvlan)",
  );
  const foreign = { ...DEFAULT, hops: [{ interface: "eth0", foreignGateway: true, onLink: false }] };
  expect(() => planNetwork(network([link()], [foreign]), "box")).toThrow(
    "a gateway of the other address family",
  );
});

// Each is a name that the kernel takes, and that `ip -batch` would read as more than one word.
test.each(["eth 0", "eth0\nlink", "e#0", 'e"0', "e;0", "é"])("the interface name %j is refused", (name) => {
  expect(() => planNetwork(network([link({ name })]), "box")).toThrow("is not supported");
});

const TAP = link({ index: 20, name: "utap7", kind: "tun", alias: "urunc:box", flags: new Set(["UP"]) });

test("what an earlier attempt of the same container left is removed first", () => {
  const plan = planNetwork(network([link(), TAP]), "box");
  expect(plan.leftovers).toEqual([{ tap: "utap7", interface: "eth0" }]);
  expect(plan.pairs).toEqual([{ tap: "utap7", interface: "eth0" }]);
});

test("a tap without an alias is one of a start that was killed; its interface may be gone", () => {
  expect(
    planNetwork(network([link(), without({ ...TAP, name: "utap99" }, "alias")]), "box").leftovers,
  ).toEqual([{ tap: "utap99" }]);
});

test("a name like a tap's makes none: neither a tap that somebody uses nor another interface", () => {
  const used = without({ ...TAP, name: "utap5", flags: new Set(["UP", "LOWER_UP"]) }, "alias");
  const unplugged = link({ index: 9, name: "utap9", flags: new Set(["UP"]) });
  const plan = planNetwork(network([used, unplugged]), "box");
  expect(plan.leftovers).toEqual([]);
  expect(plan.pairs).toEqual([{ tap: "utap9", interface: "utap9" }]);
});

test("another container's tap is refused, unless that container has ended and nobody has it open", () => {
  const other = { ...TAP, alias: "urunc:other" };
  const used = { ...other, flags: new Set(["UP", "LOWER_UP"]) };
  const asked: string[] = [];
  const hasEnded = (alias: string) => asked.push(alias) > 0;
  expect(() => planNetwork(network([link(), other]), "box")).toThrow("another virtual machine (urunc:other)");
  expect(() => planNetwork(network([link(), other]), "box", { hasEnded: () => false })).toThrow(
    "cannot share",
  );
  expect(() => planNetwork(network([link(), used]), "box", { hasEnded })).toThrow("another virtual machine");
  expect(asked).toEqual([]);
  expect(planNetwork(network([link(), other]), "box", { hasEnded }).leftovers).toHaveLength(1);
  expect(asked).toEqual(["urunc:other"]);
});

test("an identifier that is the beginning of another's is not mistaken for it", () => {
  expect(() => planNetwork(network([link(), { ...TAP, alias: "urunc:box2" }]), "box")).toThrow("urunc:box2");
  expect(ownPairs(network([link(), { ...TAP, alias: "urunc:box2" }]), "box")).toEqual([]);
});

test("a container's own taps are found by their alias, and removed with their redirects", () => {
  const pairs = ownPairs(
    network([
      link(),
      TAP,
      { ...TAP, index: 21, name: "utap5" },
      { ...TAP, index: 22, name: "utap6", alias: "urunc:x" },
    ]),
    "box",
  );
  expect(pairs).toEqual([{ tap: "utap7", interface: "eth0" }, { tap: "utap5" }]);
  expect(redirectRemoval(pairs)).toBe("qdisc del dev eth0 ingress\n");
  expect(tapRemoval(pairs)).toBe("link del dev utap7\nlink del dev utap5\n");
  expect(redirectRemoval([]) + tapRemoval([])).toBe("");
});

test("names and aliases are within what the kernel takes", () => {
  expect(tapName(2 ** 31 - 1)).toBe("utap2147483647");
  expect(tapAlias("box")).toBe("urunc:box");
  const [long, other] = [tapAlias("x".repeat(201)), tapAlias(`${"x".repeat(200)}y`)];
  expect(tapAlias("x".repeat(200))).toBe(`urunc:${"x".repeat(200)}`);
  expect(long).toMatch(/^urunc:[0-9a-f]{64}$/);
  expect(other).not.toBe(long);
});

test("a loopback without IPv6 is one in the guest too", () => {
  const loopback = { ...LOOPBACK, addresses: [ip4("127.0.0.1", 8)] };
  const { guest } = planNetwork({ interfaces: [loopback], routes: [] }, "box");
  expect(guest).toEqual({ kind: "none", loopbackIpv6: false });
  const down = { ...loopback, flags: new Set(["LOOPBACK"]) };
  expect(planNetwork({ interfaces: [down], routes: [] }, "box").guest).toEqual({ kind: "none" });
});
