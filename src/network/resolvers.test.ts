import { expect, test } from "bun:test";
import { carriedResolvers } from "./resolvers.ts";

function addresses(text: string, namespace: "host" | "own" = "host"): string[] {
  return carriedResolvers(text, namespace).map(({ address }) => address);
}

test("Docker's resolver is carried, whatever else the file says", () => {
  const text = "# by Docker\nsearch example.test\nnameserver 127.0.0.11\noptions edns0 ndots:0\n";
  expect(carriedResolvers(text, "own")).toEqual([{ family: 4, address: "127.0.0.11" }]);
});

test("in a namespace of its own a container's other loopback addresses are its own", () => {
  expect(addresses("nameserver 127.0.0.1\nnameserver ::1\nnameserver 127.0.0.53\n", "own")).toEqual([]);
});

test("in the host's namespace every loopback address is the host's", () => {
  expect(carriedResolvers("nameserver 127.0.0.53\nnameserver ::1\n", "host")).toEqual([
    { family: 4, address: "127.0.0.53" },
    { family: 6, address: "::1" },
  ]);
});

test("a resolver that the guest reaches like any address is not carried", () => {
  expect(
    addresses("nameserver 10.0.0.1\nnameserver 128.0.0.1\nnameserver fe80::1\nnameserver ::2\n"),
  ).toEqual([]);
});

test("only the first three count, each once", () => {
  expect(
    addresses("nameserver 10.0.0.1\nnameserver 127.0.0.1\nnameserver 127.0.0.1\nnameserver 127.0.0.2\n"),
  ).toEqual(["127.0.0.1"]);
});

test("lines are read as the C library reads them", () => {
  expect(addresses("nameserver\t127.0.0.1 # local\nnameserver 127.0.0.2;x\n")).toEqual([
    "127.0.0.1",
    "127.0.0.2",
  ]);
  expect(
    addresses(" nameserver 127.0.0.1\n#nameserver 127.0.0.1\nnameservers 127.0.0.1\nnameserver127.0.0.1\n"),
  ).toEqual([]);
  expect(addresses("nameserver 127.0.0\nnameserver 127.0.0.256\nnameserver localhost\n")).toEqual([]);
  expect(addresses("")).toEqual([]);
});
