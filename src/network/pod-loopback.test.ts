import { expect, test } from "bun:test";
import type { NamespaceInterface, NamespaceNetwork } from "./namespace.ts";
import { type PlanOptions, planNetwork } from "./plan.ts";
import { LOOPBACK_ADDRESS } from "./pod-loopback.ts";

function link(family: 4 | 6): NamespaceInterface {
  return {
    index: 3,
    name: "eth0",
    kind: "veth",
    ethernet: true,
    flags: new Set(["UP", "LOWER_UP"]),
    mac: "02:42:ac:11:00:02",
    mtu: 1500,
    addresses: [
      { family, address: family === 4 ? "10.1.0.2" : "fd00::2", prefixLength: 24, unusable: false },
    ],
  };
}

function plan(family: 4 | 6, pod: PlanOptions["pod"]) {
  const network: NamespaceNetwork = { interfaces: [link(family)], routes: [] };
  return planNetwork(network, "box", pod === undefined ? {} : { pod });
}

function addressesOf({ guest }: ReturnType<typeof plan>) {
  return guest.kind === "tap" ? guest.links.flatMap(({ addresses }) => addresses) : [];
}

test("outside of a pod the loopback of the namespace stays apart", () => {
  const alone = plan(4, undefined);
  expect(alone.loopback).toBeUndefined();
  expect(addressesOf(alone)).not.toContainEqual(LOOPBACK_ADDRESS);
  expect(alone.ipBatch).not.toContain("169.254");
});

test("in a pod 127.0.0.1 of the namespace leads to the guest, by a link of their own", () => {
  const { guest, loopback, ipBatch, tcBatch, pairs, localPorts } = plan(4, { joined: true });
  expect(pairs).toEqual([{ tap: "utap3", interface: "eth0" }]);
  expect(guest.kind === "tap" && guest.links[0]?.addresses.at(-1)).toEqual(LOOPBACK_ADDRESS);
  expect(ipBatch).toContain("address add 169.254.193.1/30 dev utap3 scope link\n");
  // What is for the namespace's end does not leave by the interface.
  expect(tcBatch).toContain("dev utap3 parent ffff: protocol ip pref 2 u32 match ip dst 169.254.193.1/32");
  expect(tcBatch).toContain("match u32 0xa9fec101 0xffffffff at 24");
  expect(loopback?.rules).toContain("-d 127.0.0.1/32 -p tcp -j DNAT --to-destination 169.254.193.2\n");
  expect(loopback?.route).toBe("net/ipv4/conf/utap3/route_localnet");
  expect(localPorts).toBeUndefined();
});

test("ports of plain containers stay the namespace's, and so does what answers them", () => {
  const { loopback, tcBatch, localPorts } = plan(4, { joined: true, ports: [9121] });
  const rules = loopback?.rules.split("\n") ?? [];
  const stays = rules.findIndex((rule) => rule.includes("--dport 9121 -j RETURN"));
  const leaves = rules.findIndex((rule) => rule.includes("-p tcp -j DNAT --to-destination 169.254.193.2"));
  expect(stays).toBeGreaterThan(0);
  expect(stays).toBeLessThan(leaves);
  expect(loopback?.rules).toContain(
    "-d 169.254.193.1/32 -p tcp --dport 9121 -j DNAT --to-destination 127.0.0.1",
  );
  expect(tcBatch).toContain("match ip protocol 6 0xff match ip dport 9121 0xffff flowid 1:1");
  expect(tcBatch).toContain("match ip protocol 6 0xff match ip dport 61440 0xf000 flowid 1:1");
  expect(localPorts).toBe("61440 65535");
});

test("without IPv4 there is nothing to join", () => {
  const only6 = plan(6, { joined: true });
  expect(only6.loopback).toBeUndefined();
  expect(addressesOf(only6)).not.toContainEqual(LOOPBACK_ADDRESS);
});
