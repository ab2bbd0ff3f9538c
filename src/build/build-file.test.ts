import { expect, test } from "bun:test";
import { buildFileKind } from "./build-file.ts";
import { parseOutput } from "./output.ts";

test.each([
  ["FROM scratch", "a", "containerfile"],
  ["# syntax=x\n\n  from scratch", "a", "containerfile"],
  ["ARG A=1\nFROM x", "bunnyfile", "containerfile"],
  ["#syntax=x\nversion: v0.1", "a", "bunnyfile"],
  ["from: x", "a", "bunnyfile"],
  ["arguments: 1", "a", "bunnyfile"],
  ["", "a", "bunnyfile"],
  ["RUN x", "a", "bunnyfile"],
  ["RUN x", "b/Dockerfile", "containerfile"],
  ["", "Containerfile", "containerfile"],
  ["FORM x", "web.dockerfile", "containerfile"],
  ["RUN x", "Dockerfile.test", "containerfile"],
  ["RUN x", "Dockerfile/a", "bunnyfile"],
  ["version: v0.1", "Containerfile", "bunnyfile"],
] as const)("%j in %s is a %s", (text, name, kind) => {
  expect(buildFileKind(text, name)).toBe(kind);
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
