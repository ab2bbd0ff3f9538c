import { expect, test } from "bun:test";
import { checkContainerId } from "./container-id.ts";

test("identifiers that Docker, containerd and podman give are taken as they are", () => {
  for (const id of ["a", "0123456789abcdef".repeat(4), "k8s.io_web+1-2.3"])
    expect(checkContainerId(id)).toBe(id);
});

test("what would lead out of the state directory is refused", () => {
  for (const id of ["", ".", "..", "../x", "a/b", "a b", "a\n", "a\0b", "ü"]) {
    expect(() => checkContainerId(id)).toThrow("invalid container id format");
  }
});

test("an identifier longer than a file name is refused with the limit", () => {
  expect(checkContainerId("x".repeat(255))).toHaveLength(255);
  expect(() => checkContainerId("x".repeat(256))).toThrow("at most 255");
});
