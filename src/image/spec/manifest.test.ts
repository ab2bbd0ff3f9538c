import { describe, expect, test } from "bun:test";
import { parseDigest } from "./digest.ts";
import { parseImageConfig } from "./image-config.ts";
import { type Index, MAXIMUM_MANIFEST, parseManifest } from "./manifest.ts";
import {
  DOCKER_CONFIG,
  DOCKER_INDEX,
  DOCKER_MANIFEST,
  layerCompression,
  OCI_CONFIG,
  OCI_INDEX,
  OCI_LAYER,
  OCI_MANIFEST,
} from "./media-type.ts";
import { choosePlatform, parsePlatform, platformName } from "./platform.ts";

const DIGEST = `sha256:${"ab".repeat(32)}`;
const bytes = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));
const descriptor = (mediaType: string, more = {}) => ({ mediaType, digest: DIGEST, size: 7, ...more });
const manifest = (more = {}) => ({
  schemaVersion: 2,
  mediaType: OCI_MANIFEST,
  config: descriptor(OCI_CONFIG),
  layers: [descriptor(`${OCI_LAYER}+gzip`)],
  ...more,
});

describe("manifests", () => {
  test("of OCI and of Docker's schema 2 are read alike", () => {
    const oci = parseManifest(bytes(manifest()), "x");
    const docker = parseManifest(
      bytes(manifest({ mediaType: DOCKER_MANIFEST, config: descriptor(DOCKER_CONFIG) })),
      "x",
      DOCKER_MANIFEST,
    );
    expect(oci.kind).toBe("manifest");
    expect(docker.kind).toBe("manifest");
    const index = { schemaVersion: 2, manifests: [descriptor(OCI_MANIFEST)] };
    expect(parseManifest(bytes({ ...index, mediaType: DOCKER_INDEX }), "x").kind).toBe("index");
    expect(parseManifest(bytes(index), "x").mediaType).toBe(OCI_INDEX);
    expect(parseManifest(bytes(manifest({ mediaType: undefined })), "x", "text/plain").mediaType).toBe(
      OCI_MANIFEST,
    );
  });

  test.each([
    [{ schemaVersion: 1 }, "schema 1"],
    [{ schemaVersion: 3 }, "schemaVersion 3"],
    [{ mediaType: "text/plain" }, 'unknown media type "text/plain"'],
    [{ config: undefined }, "lacks config"],
    [{ config: { mediaType: OCI_CONFIG, size: 1 } }, "lacks config.digest"],
    [{ config: descriptor(OCI_CONFIG, { digest: "sha256:../../x" }) }, "config.digest that is no digest"],
    [{ layers: {} }, "layers that is object and must be a list"],
    [{ layers: [descriptor(OCI_LAYER, { size: -1 })] }, "layers[0].size"],
    [{ layers: [descriptor(OCI_LAYER, { size: 1.5 })] }, "layers[0].size"],
    [{ layers: [descriptor(OCI_LAYER, { size: 2 ** 41 })] }, "at most"],
    [{ layers: new Array(1025).fill(descriptor(OCI_LAYER)) }, "at most 1024"],
    [{ annotations: { a: 1 } }, 'annotations["a"]'],
    [{ manifests: [] }, "has manifests"],
  ])("with %j are refused", (change, why) => {
    expect(() => parseManifest(bytes(manifest(change)), "the manifest of x")).toThrow(`${why}`);
  });

  test("whose type is disputed are refused", () => {
    expect(() => parseManifest(bytes(manifest()), "x", OCI_INDEX)).toThrow("is said to be");
  });

  test("that are not JSON, or too large, are refused", () => {
    expect(() => parseManifest(new TextEncoder().encode("{"), "x")).toThrow("x is not JSON");
    expect(() => parseManifest(Uint8Array.of(0xff), "x")).toThrow("x is not JSON");
    expect(() => parseManifest(bytes([]), "x")).toThrow("must be an object");
    expect(() => parseManifest(new Uint8Array(MAXIMUM_MANIFEST + 1), "x")).toThrow("at most");
  });
});

test("digests are those of two algorithms, in lower case", () => {
  expect(parseDigest(`sha512:${"0".repeat(128)}`).algorithm).toBe("sha512");
  for (const wrong of [
    "",
    "sha256",
    `sha256:${"A".repeat(64)}`,
    `sha256:${"0".repeat(63)}`,
    "toString:x",
    `${DIGEST}:x`,
  ]) {
    expect(() => parseDigest(wrong)).toThrow("is no digest");
  }
});

test("layers say how they are compressed, or are refused", () => {
  expect(layerCompression(OCI_LAYER)).toBe("none");
  expect(layerCompression(`${OCI_LAYER}+zstd`)).toBe("zstd");
  expect(layerCompression("application/vnd.docker.image.rootfs.diff.tar.gzip")).toBe("gzip");
  expect(() => layerCompression("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip")).toThrow(
    "may not distribute",
  );
  expect(() => layerCompression("text/plain")).toThrow("unknown type");
});

test("a configuration is read with what is missing left out", () => {
  const config = parseImageConfig(
    bytes({
      os: "linux",
      architecture: "arm64",
      variant: "v8",
      rootfs: { type: "layers", diff_ids: [DIGEST] },
      config: {
        Env: ["A=b"],
        Entrypoint: null,
        Cmd: ["sh"],
        User: "",
        ExposedPorts: { "80/tcp": {} },
        Labels: null,
      },
    }),
    "x",
  );
  expect(platformName(config.platform)).toBe("linux/arm64/v8");
  expect(config.process).toEqual({
    ...{ env: ["A=b"], entrypoint: [], cmd: ["sh"], exposedPorts: ["80/tcp"], volumes: [], labels: {} },
  });
  expect(() => parseImageConfig(bytes({}), "x")).toThrow("lacks rootfs");
  expect(() => parseImageConfig(bytes({ rootfs: { diff_ids: ["x"] } }), "x")).toThrow("diff_ids[0]");
  expect(() => parseImageConfig(bytes({ rootfs: {}, config: { Cmd: "sh" } }), "x")).toThrow("config.Cmd");
});

describe("platforms", () => {
  const index = (...platforms: string[]): Index => ({
    kind: "index",
    mediaType: OCI_INDEX,
    annotations: {},
    manifests: platforms.map((platform, size) => ({
      ...descriptor(OCI_MANIFEST),
      size,
      platform: parsePlatform(platform),
    })),
  });
  const chosen = (wanted: string, ...platforms: string[]) =>
    choosePlatform(index(...platforms), parsePlatform(wanted), "x").size;

  test("are chosen by architecture, and the best variant of those that run", () => {
    expect(chosen("linux/amd64", "linux/arm64", "linux/amd64", "linux/amd64/v3")).toBe(1);
    expect(chosen("linux/amd64/v3", "linux/amd64", "linux/amd64/v2", "linux/amd64/v4")).toBe(1);
    expect(chosen("linux/arm64", "linux/arm64/v8")).toBe(0);
    expect(chosen("linux/arm/v7", "linux/arm/v5", "linux/arm/v6")).toBe(1);
    expect(chosen("aarch64", "linux/amd64", "linux/arm64")).toBe(1);
  });

  test("that are not there are named with those that are", () => {
    expect(() => chosen("linux/s390x", "linux/arm64", "linux/amd64")).toThrow(
      "x is not there for linux/s390x: it is for linux/arm64, linux/amd64",
    );
    expect(() => chosen("linux/arm/v6", "linux/arm/v7")).toThrow("not there");
    expect(() => parsePlatform("a/b/c/d")).toThrow("is no platform");
    expect(() => parsePlatform("linux/")).toThrow("is no platform");
  });
});
