import { expect, test } from "bun:test";
import { parseInterfaces, parseNamespace, parseRoutes } from "./namespace.ts";
import { CONNECTED, DEFAULT, ip4, ip6, link, MAC, route } from "./namespace-samples.ts";

// What iproute2 6.1 prints of a container of Docker's, shortened.
const LINKS = JSON.stringify([
  {
    ifindex: 1,
    ifname: "lo",
    flags: ["LOOPBACK", "UP", "LOWER_UP"],
    mtu: 65536,
    link_type: "loopback",
    address: "00:00:00:00:00:00",
    addr_info: [{ family: "inet", local: "127.0.0.1", prefixlen: 8, scope: "host" }],
  },
  {},
  {
    ifindex: 7,
    link_index: 8,
    ifname: "eth0",
    flags: ["BROADCAST", "MULTICAST", "UP", "LOWER_UP"],
    mtu: 1500,
    link_type: "ether",
    address: MAC,
    link: "if8",
    link_netnsid: 0,
    linkinfo: { info_kind: "veth" },
    addr_info: [
      { family: "inet", local: "172.17.0.2", prefixlen: 16, broadcast: "172.17.255.255", scope: "global" },
      { family: "inet6", local: "fd00::2", prefixlen: 64, scope: "global", temporary: true },
      { family: "mpls", local: "7" },
    ],
  },
]);
const ROUTES = JSON.stringify([
  { type: "unicast", dst: "default", gateway: "172.17.0.1", dev: "eth0", protocol: "boot", flags: [] },
  {
    ...{ type: "1", dst: "172.17.0.0/16", dev: "eth0", protocol: "2", scope: "253", prefsrc: "172.17.0.2" },
    flags: [],
  },
  { type: "local", dst: "172.17.0.2", dev: "eth0", table: "local", protocol: "kernel", scope: "host" },
  { type: "unicast", dst: "10.0.0.0/8", dev: "eth0", table: "100", protocol: "static" },
]);

test("a namespace is read as iproute2 prints it", () => {
  expect(parseNamespace(`${LINKS}\n${ROUTES}\n`)).toEqual({
    interfaces: [
      {
        index: 1,
        name: "lo",
        flags: new Set(["LOOPBACK", "UP", "LOWER_UP"]),
        ethernet: false,
        mac: "00:00:00:00:00:00",
        mtu: 65536,
        addresses: [ip4("127.0.0.1", 8)],
      },
      link({
        addresses: [
          ip4("172.17.0.2", 16, { broadcast: "172.17.255.255" }),
          ip6("fd00::2", 64, { unusable: true }),
        ],
      }),
    ],
    routes: [DEFAULT, CONNECTED],
  });
});

test("an interface: its parent counts only in the same namespace; an address that is no MAC is none", () => {
  const base = {
    ifindex: 9,
    ifname: "x",
    flags: [],
    mtu: 1,
    link_type: "[1]",
    ifalias: "urunc:a",
    master: "br0",
  };
  expect(parseInterfaces([{ ...base, link: "eth0", address: "02:42:ac:11:00" }])).toEqual([
    {
      ...{ index: 9, name: "x", flags: new Set<string>(), ethernet: true, mtu: 1, addresses: [] },
      ...{ alias: "urunc:a", master: "br0", parent: "eth0" },
    },
  ]);
  expect(parseInterfaces([{ ...base, link: "eth0", link_netnsid: 3 }])[0]?.parent).toBeUndefined();
  const peer = { family: "inet", local: "10.0.0.2", address: "10.0.0.1", prefixlen: 32, dadfailed: true };
  expect(parseInterfaces([{ ...base, addr_info: [peer] }])[0]?.addresses).toEqual([
    ip4("10.0.0.2", 32, { peer: "10.0.0.1", unusable: true }),
  ]);
});

test("a route: names and numbers, hops, metrics", () => {
  const one = (json: object) => parseRoutes([{ dev: "eth0", dst: "10.0.0.0/8", ...json }])[0];
  expect(one({})).toEqual(route("10.0.0.0", 8));
  expect(one({ dst: "10.0.0.9" })?.prefixLength).toBe(32);
  expect(one({ dst: "fd00::9" })).toMatchObject({ family: 6, prefixLength: 128 });
  expect(one({ dst: "default" })).toMatchObject({ family: 4, destination: "0.0.0.0", prefixLength: 0 });
  expect(one({ dst: "default", pref: "medium" })).toMatchObject({ family: 6, destination: "::" });
  expect(one({ dst: "default", gateway: "fe80::1" })?.family).toBe(6);
  expect(one({ metric: 1024, metrics: [{ rto_min: 5 }, { mtu: 1450 }] })).toMatchObject({
    metric: 1024,
    mtu: 1450,
  });
  expect(one({ protocol: "bird", type: "unicast", scope: "link" })).toMatchObject({
    protocol: -1,
    scope: 253,
  });
  expect(one({ protocol: 186, type: "blackhole" })).toMatchObject({ protocol: 186, type: 6 });
  expect(one({ gateway: "10.0.0.1", flags: ["onlink"] })?.hops[0]).toMatchObject({ onLink: true });
  expect(one({ via: { family: "inet6", host: "fe80::1" } })?.hops[0]).toMatchObject({ foreignGateway: true });
  expect(parseRoutes([{ type: "unreachable", dst: "10.0.0.0/8" }])[0]?.hops).toEqual([]);
  expect(
    parseRoutes([{ dst: "default", nexthops: [{ dev: "a", gateway: "10.0.0.1" }, { dev: "b" }] }])[0]?.hops,
  ).toEqual([
    { interface: "a", gateway: "10.0.0.1", foreignGateway: false, onLink: false },
    { interface: "b", foreignGateway: false, onLink: false },
  ]);
});

test.each(["", "[]", "[]\n[]\n[]\n", "[]\n{}\n", "[\n[]\n", "[7]\n[]\n", "null\nnull\n"])(
  "%j is not two lists",
  (output) => {
    expect(() => parseNamespace(output)).toThrow(expect.objectContaining({ code: "network" }));
  },
);

test.each([
  { ifname: "" },
  { ifname: 7 },
  { ifindex: -1 },
  { ifindex: "7" },
  { mtu: undefined },
  { mtu: 1.5 },
  { flags: "UP" },
  { flags: [7] },
  { addr_info: {} },
  { addr_info: [{ family: "inet", local: "10.0.0.256", prefixlen: 8 }] },
  { addr_info: [{ family: "inet", local: "fd00::1", prefixlen: 8 }] },
  { addr_info: [{ family: "inet", local: "10.0.0.1", prefixlen: 33 }] },
  { addr_info: [{ family: "inet6", local: "fd00::1", prefixlen: 129 }] },
])("an interface with %j is not understood", (change) => {
  const base = { ifindex: 7, ifname: "eth0", flags: [], mtu: 1500, link_type: "ether" };
  expect(parseInterfaces([base])).toHaveLength(1);
  expect(() => parseInterfaces([{ ...base, ...change }])).toThrow("is iproute2 too old?");
});

test.each([
  { dst: undefined },
  { dst: "10.0.0/8" },
  { dst: "10.0.0.0/33" },
  { dst: "10.0.0.0/x" },
  { gateway: "nobody" },
  { gateway: "fd00::1" },
  { prefsrc: 7 },
  { metric: "high" },
  { nexthops: {} },
  { dev: "" },
  { table: [] },
])("a route with %j is not understood", (change) => {
  const base = { dst: "10.0.0.0/8", dev: "eth0" };
  expect(parseRoutes([base])).toHaveLength(1);
  expect(() => parseRoutes([{ ...base, ...change }])).toThrow("is iproute2 too old?");
});
