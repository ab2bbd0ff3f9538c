import { expect, test } from "bun:test";
import { outputOf, versionIn } from "./program.ts";

test("a version is the first number with dots", () => {
  expect(versionIn("QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7)")).toBe("7.2.22");
  expect(versionIn("Firecracker v1.7.0")).toBe("1.7.0");
  expect(versionIn("nothing 7")).toBeUndefined();
  expect(versionIn(undefined)).toBeUndefined();
});

test("a program that fails, or is not there, says nothing", () => {
  expect(outputOf("/bin/echo", "a", "b")).toBe("a b\n");
  expect(outputOf("/bin/sh", "-c", "echo a; exit 1")).toBeUndefined();
  expect(outputOf("/no/such/program")).toBeUndefined();
});
