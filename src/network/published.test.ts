import { expect, test } from "bun:test";
import { formatPublished, PUBLISH, type PublishedPort, parsePublished } from "./published.ts";

const ports: PublishedPort[] = [
  { protocol: "tcp", hostAddress: "0.0.0.0", hostPort: 8080, guestPort: 80 },
  { protocol: "udp", hostAddress: "127.0.0.1", hostPort: 53, guestPort: 5353 },
];

test("what is published comes back from the annotation", () => {
  expect(formatPublished(ports)).toBe("tcp:0.0.0.0:8080:80,udp:127.0.0.1:53:5353");
  expect(parsePublished({ [PUBLISH]: formatPublished(ports) })).toEqual(ports);
  expect(parsePublished({})).toEqual([]);
  expect(parsePublished(undefined)).toEqual([]);
});

test.each([
  "tcp:0.0.0.0:80",
  "sctp:0.0.0.0:80:80",
  "tcp:0.0.0.300:80:80",
  "tcp:0.0.0.0:0:80",
  "tcp:0.0.0.0:80:65536",
  "tcp:0.0.0.0:80:80,",
  "tcp:0.0.0.0:80:80-:1,guestfwd=x",
])("%s is refused", (value) => {
  expect(() => parsePublished({ [PUBLISH]: value })).toThrow("must be PROTOCOL:ADDRESS:HOSTPORT:GUESTPORT");
});
