import { expect, test } from "bun:test";
import { configurationsOf, resultOf } from "./metadata.ts";

const solved = (id: string) => ({
  id,
  output() {
    throw new Error("nobody builds on it");
  },
});
const image = (architecture: string) => ({
  solved: solved(architecture),
  config: { created: "1970-01-01T00:00:00Z", config: { Cmd: ["x"] }, architecture: "of the base" },
  annotations: { "com.urunc.unikernel.binary": "/.boot/kernel" },
  platform: { os: "linux", architecture },
});
const textsOf = (metadata: Readonly<Record<string, Uint8Array>>) =>
  Object.fromEntries(Object.entries(metadata).map(([key, value]) => [key, Buffer.from(value).toString()]));

test("one image has its configuration and its manifest's annotations", () => {
  const { ref, metadata } = resultOf([image("amd64")]);
  expect(ref).toMatchObject({ id: "amd64" });
  const texts = textsOf(metadata);
  expect(texts["annotation-manifest.com.urunc.unikernel.binary"]).toBe("/.boot/kernel");
  expect(JSON.parse(texts["containerimage.config"] ?? "")).toEqual({
    created: "1970-01-01T00:00:00Z",
    config: { Cmd: ["x"] },
    architecture: "amd64",
    os: "linux",
    rootfs: { type: "layers", diff_ids: [] },
  });
});

test("images for several platforms have each its own, by the platforms' ids", () => {
  const { ref, metadata } = resultOf([image("amd64"), image("arm64")]);
  expect(ref instanceof Map && [...ref.keys()]).toEqual(["linux/amd64", "linux/arm64"]);
  const texts = textsOf(metadata);
  expect(JSON.parse(texts["refs.platforms"] ?? "").Platforms).toEqual([
    { ID: "linux/amd64", Platform: { os: "linux", architecture: "amd64" } },
    { ID: "linux/arm64", Platform: { os: "linux", architecture: "arm64" } },
  ]);
  expect(texts["annotation-manifest[linux/arm64].com.urunc.unikernel.binary"]).toBe("/.boot/kernel");
  expect([...configurationsOf({ ref: undefined, metadata }).keys()]).toEqual(["linux/amd64", "linux/arm64"]);
});
