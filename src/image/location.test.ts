import { expect, test } from "bun:test";
import { parseLocation } from "./location.ts";

test("places are told apart by the words before them", () => {
  expect(parseLocation("-")).toEqual({ kind: "stdio" });
  expect(parseLocation("redis:7")).toMatchObject({ kind: "store", reference: { tag: "7" } });
  expect(parseLocation("localhost:5000/a")).toMatchObject({ kind: "store" });
  expect(parseLocation("docker://redis")).toMatchObject({ kind: "registry", reference: { tag: "latest" } });
  expect(parseLocation("oci:/a/b")).toEqual({ kind: "layout", path: "/a/b" });
  expect(parseLocation("oci:dir:x/y:1")).toEqual({ kind: "layout", path: "dir", name: "x/y:1" });
  expect(parseLocation("oci-archive:f.tar")).toEqual({ kind: "oci-archive", path: "f.tar" });
  expect(parseLocation("docker-archive:-:app")).toMatchObject({ path: "-", reference: { tag: "latest" } });
  expect(parseLocation("docker-daemon:app")).toMatchObject({ kind: "docker-daemon" });
});

test.each([
  ["", "is empty"],
  ["oci:", "names no directory"],
  ["docker-archive::x", "names no file"],
  ["oci-archive:x:", "an empty name"],
  ["https://x/y", "unknown word https"],
  ["dir:/x", "unknown word dir"],
  ["docker-daemon:UPPER", "lower case"],
])("%p is refused", (text, why) => {
  expect(() => parseLocation(text)).toThrow(why);
});
