import { expect, test } from "bun:test";
import { buildFileKind } from "./build-file.ts";
import { parseOutput } from "./output.ts";

test.each([
  ["FROM scratch", "containerfile"],
  ["# syntax=x\n\n  from scratch", "containerfile"],
  ["ARG A=1\nFROM x", "containerfile"],
  ["#syntax=x\nversion: v0.1", "bunnyfile"],
  ["from: x", "bunnyfile"],
  ["arguments: 1", "bunnyfile"],
  ["", "bunnyfile"],
] as const)("%j is a %s", (text, kind) => {
  expect(buildFileKind(text)).toBe(kind);
});

test.each([
  ["initrd:a", { kind: "initrd", path: "a" }],
  ["rootfs:/a/b", { kind: "rootfs", path: "/a/b" }],
  ["oci:a:b", { kind: "image", location: { kind: "layout", path: "a", name: "b" } }],
  ["docker-archive:-", { kind: "image", location: { kind: "docker-archive", path: "-" } }],
  ["docker://a/b", { kind: "image", location: { kind: "registry" } }],
])("the output %s", (text, output) => {
  expect(parseOutput(text)).toMatchObject(output as object);
});

test.each(["", "name", "tar:x", "block:", "kernel:", "type=local,dest=x"])(
  "the output %j is refused",
  (text) => {
    expect(() => parseOutput(text)).toThrow("--output");
  },
);
