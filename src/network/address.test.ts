import { expect, test } from "bun:test";
import { addressBytes, macBytes, parseAddress, parseMac } from "./address.ts";

const hex = (bytes: Uint8Array | undefined) => bytes && Buffer.from(bytes).toString("hex");

test("a MAC becomes its six bytes", () => {
  expect(hex(parseMac("02:42:ac:11:00:FF"))).toBe("0242ac1100ff");
});

test.each([
  "",
  "02:42:ac:11:00",
  "02:42:ac:11:00:0",
  "02:42:ac:11:00:00:01",
  "02-42-ac-11-00-01",
  "0g:42:ac:11:00:01",
])("%p is no MAC", (text) => {
  expect(parseMac(text)).toBeUndefined();
  expect(() => macBytes(text)).toThrow(RangeError);
});

test("IPv4 stands in the first four of the protocol's sixteen bytes", () => {
  expect(hex(addressBytes(4, "172.17.0.2"))).toBe(`ac110002${"0".repeat(24)}`);
});

test.each([
  ["::", "0".repeat(32)],
  ["::1", `${"0".repeat(31)}1`],
  ["fe80::", `fe80${"0".repeat(28)}`],
  ["fd00::1:2", "fd000000000000000000000000010002"],
  ["1:2:3:4:5:6:7:8", "00010002000300040005000600070008"],
  ["1:2:3:4:5:6:7::", "00010002000300040005000600070000"],
  ["::ffff:10.0.0.1", "00000000000000000000ffff0a000001"],
  ["FD00::ABCD", "fd00000000000000000000000000abcd"],
])("IPv6 %p is read", (text, bytes) => {
  expect(hex(parseAddress(6, text))).toBe(bytes);
});

test.each([
  "",
  ":",
  ":::",
  "1::2::3",
  "1:2:3:4:5:6:7",
  "1:2:3:4:5:6:7:8:9",
  "1:2:3:4:5:6:7:8::",
  "12345::",
  "g::",
  "10.0.0.1",
  "1.2.3.4::",
  "::1%eth0",
  "fe80::/64",
])("%p is no IPv6 address", (text) => {
  expect(parseAddress(6, text)).toBeUndefined();
});

test.each(["", "1.2.3", "1.2.3.4.5", "256.0.0.1", "01.2.3.4", "1.2.3.x", "1..2.3", "::1"])(
  "%p is no IPv4 address",
  (text) => {
    expect(parseAddress(4, text)).toBeUndefined();
  },
);
