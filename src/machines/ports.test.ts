import { expect, test } from "bun:test";
import { parseAllPublished, parsePublish, shownPorts } from "./ports.ts";

const tcp = (hostAddress: string, hostPort: number, guestPort: number) => ({
  protocol: "tcp" as const,
  hostAddress,
  hostPort,
  guestPort,
});

test("ports are published as Docker has them", () => {
  expect(parsePublish("80")).toEqual([tcp("0.0.0.0", 0, 80)]);
  expect(parsePublish("8080:80")).toEqual([tcp("0.0.0.0", 8080, 80)]);
  expect(parsePublish("127.0.0.1:8080:80/tcp")).toEqual([tcp("127.0.0.1", 8080, 80)]);
  expect(parsePublish("127.0.0.1::80")).toEqual([tcp("127.0.0.1", 0, 80)]);
  expect(parsePublish("53:53/udp")).toEqual([{ ...tcp("0.0.0.0", 53, 53), protocol: "udp" }]);
  expect(parsePublish("8000-8001:80-81")).toEqual([tcp("0.0.0.0", 8000, 80), tcp("0.0.0.0", 8001, 81)]);
  expect(shownPorts(parsePublish("1:2/udp"))).toBe("0.0.0.0:1->2/udp");
});

test.each([
  ["", "invalid containerPort"],
  ["0", "invalid containerPort"],
  ["1:2:3:4", "IPv6"],
  ["[::1]:80:80", "IPv6"],
  ["a:80:80", "invalid IP address: a"],
  ["80-79", "invalid containerPort"],
  ["1-2:3-5", "invalid ranges"],
  ["1-60000", "invalid containerPort"],
  ["80/icmp", "invalid proto"],
])("%s is refused", (text, sentence) => {
  expect(() => parsePublish(text)).toThrow(sentence);
});

test("there are at most 256", () => {
  expect(() => parseAllPublished(["1-200", "201-300"])).toThrow("at most 256 ports");
});
