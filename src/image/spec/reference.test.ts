import { expect, test } from "bun:test";
import { familiarName, formatReference, parseReference } from "./reference.ts";

const HEX = "0123456789abcdef".repeat(4);

test.each([
  ["redis", "docker.io/library/redis:latest"],
  ["redis:7", "docker.io/library/redis:7"],
  ["user/app", "docker.io/user/app:latest"],
  ["index.docker.io/library/redis", "docker.io/library/redis:latest"],
  ["docker.io/redis", "docker.io/library/redis:latest"],
  ["localhost/app", "localhost/app:latest"],
  ["localhost:5000/app", "localhost:5000/app:latest"],
  ["127.0.0.1:5000/a/b/c:v1.2-x_Y", "127.0.0.1:5000/a/b/c:v1.2-x_Y"],
  ["[::1]:5000/app", "[::1]:5000/app:latest"],
  ["quay.io/a/b", "quay.io/a/b:latest"],
  ["HOST/app", "HOST/app:latest"],
  ["a__b/c---d.e_f", "docker.io/a__b/c---d.e_f:latest"],
  [`redis@sha256:${HEX}`, `docker.io/library/redis@sha256:${HEX}`],
  [`redis:7@sha256:${HEX}`, `docker.io/library/redis:7@sha256:${HEX}`],
])("%s is %s", (text, whole) => {
  expect(formatReference(parseReference(text))).toBe(whole);
  expect(formatReference(parseReference(whole))).toBe(whole);
  expect(formatReference(parseReference(familiarName(parseReference(text))))).toBe(whole);
});

test.each([
  ["", "empty"],
  [":tag", "empty"],
  ["Redis", "lower case"],
  ["a//b", "must be lower-case"],
  ["a/", "must be lower-case"],
  ["/a", "must be lower-case"],
  ["../../etc/passwd", "is no"],
  ["a..b", "must be lower-case"],
  ["a___b", "must be lower-case"],
  ["a b", "must be lower-case"],
  ["a\n", "must be lower-case"],
  ["redis:", "a tag has"],
  ["redis:.x", "a tag has"],
  [`redis:${"x".repeat(129)}`, "a tag has"],
  ["redis@sha256:abc", "64 lower-case hexadecimal"],
  ["redis@md5:abc", "sha256:… and sha512:… are known"],
  ["host:99999/a", "greater than 65535"],
  ["-host.x/a", "no registry's host"],
  [`a/${"b".repeat(256)}`, "more than 255"],
])("%p is refused", (text, why) => {
  expect(() => parseReference(text)).toThrow(why);
});
