import { expect, test } from "bun:test";
import { runcDirectory, withFirst, withoutDirectory } from "./runc-directory.ts";

const OURS = "/usr/local/libexec/urunc";

test("the directory is beside the executable's", () => {
  expect(runcDirectory("/usr/local/bin/urunc")).toBe(OURS);
});

test("it comes first, and once however often it is added", () => {
  expect(withFirst("/usr/sbin:/usr/bin", OURS)).toBe(`${OURS}:/usr/sbin:/usr/bin`);
  expect(withFirst(`/usr/sbin:${OURS}/:/usr/bin`, OURS)).toBe(`${OURS}:/usr/sbin:/usr/bin`);
});

test("without a PATH it is the only one: an empty entry would be the working directory", () => {
  expect(withFirst(undefined, OURS)).toBe(OURS);
  expect(withFirst("", OURS)).toBe(OURS);
});

test("it is taken out again, and nothing else is", () => {
  expect(withoutDirectory(`${OURS}:/usr/sbin::${OURS}x:/usr/bin`, OURS)).toBe(`/usr/sbin::${OURS}x:/usr/bin`);
  expect(withoutDirectory(undefined, OURS)).toBeUndefined();
});
