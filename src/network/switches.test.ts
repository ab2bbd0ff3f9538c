import { expect, test } from "bun:test";
import { parseSwitches } from "./switches.ts";

const IPV4 = "/proc/sys/net/ipv4";

test("what is as in a new guest is not told to it", () => {
  const usual = [
    `${IPV4}/ip_forward:0`,
    "/proc/sys/net/ipv6/conf/all/forwarding:0",
    `${IPV4}/ip_unprivileged_port_start:1024`,
    `${IPV4}/ping_group_range:1\t0`,
    "",
  ];
  expect(parseSwitches(usual.join("\n"))).toEqual([]);
  expect(parseSwitches("")).toEqual([]);
});

test("what the namespace has set is told", () => {
  const set = [
    `${IPV4}/ping_group_range:0\t2147483647`,
    "/proc/sys/net/ipv6/conf/all/forwarding:1",
    `${IPV4}/ip_forward:1`,
    `${IPV4}/ip_unprivileged_port_start:0`,
  ];
  expect(parseSwitches(set.join("\n"))).toEqual([
    ["net.ipv4.ip_forward", "1"],
    ["net.ipv6.conf.all.forwarding", "1"],
    ["net.ipv4.ip_unprivileged_port_start", "0"],
    ["net.ipv4.ping_group_range", "0 2147483647"],
  ]);
});

test("lines of other files are passed over", () => {
  expect(parseSwitches(`/etc/x:1\n${IPV4}/ip_forward\n:1\n${IPV4}/ip_forward:1`)).toEqual([
    ["net.ipv4.ip_forward", "1"],
  ]);
});
