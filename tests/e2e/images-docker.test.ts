import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { zstdCompressSync } from "node:zlib";
import type { Manifest } from "../../src/image/spec/manifest.ts";
import { DOCKER_MANIFEST, OCI_MANIFEST } from "../../src/image/spec/media-type.ts";
import { Layout } from "../../src/image/store/layout.ts";
import { BUNNY } from "../harness/build-place.ts";
import { command } from "../harness/command.ts";
import { type Docker, startDocker } from "../harness/docker.ts";
import { useImageStores } from "../harness/image-stores.ts";
import { ensureImage } from "../harness/images.ts";
import { type Registry, startRegistry } from "../harness/registry.ts";
import { runtimePath } from "../harness/runtime.ts";

/** Images between bunny and Docker. */

setDefaultTimeout(120_000);

let archive: string;
let docker: Docker;
let inside: Registry;
beforeAll(async () => {
  archive = (await ensureImage("busybox")).archive;
  docker = await startDocker({ name: "images", runtime: runtimePath });
  inside = await startRegistry({ within: docker.inNetwork });
});
afterAll(async () => {
  await inside?.stop();
  await docker?.stop();
});

const place = useImageStores();
const { environment, store, bunny, refused } = place;

const env = () => ({ ...environment(), DOCKER_HOST: `unix://${docker.socket}` });
const within = async (...args: string[]) => {
  const result = await command(docker.inNetwork([BUNNY, ...args]), { env: env() });
  if (result.exitCode !== 0) throw new Error(result.stderr);
  return result.stdout.trimEnd().split(/\s/).at(-1) ?? "";
};
const hello = (name: string) =>
  docker.succeed(["run", "--rm", "--network", "none", "--runtime", "runc", name, "echo", "hello"]);

test("Docker loads what we write, by its socket and from an archive, and saves what we read", async () => {
  await within("copy", `docker-archive:${archive}`, "docker-daemon:by-socket:1");
  expect(await hello("by-socket:1")).toBe("hello");
  const file = join(place.directory, "saved.tar");
  await docker.succeed(["save", "--output", file, "by-socket:1"]);
  await within("copy", `docker-archive:${file}`, "saved:1");
  await within("copy", "docker-daemon:by-socket:1", "again:1");
  const out = join(place.directory, "out.tar");
  await within("copy", "again:1", `docker-archive:${out}:loaded:1`);
  expect(await docker.succeed(["load", "--input", out])).toContain("loaded:1");
  expect(await hello("loaded:1")).toBe("hello");
  expect(await refused(["copy", "docker-daemon:none:1", "x:1"], env())).toContain("does not have it");
});

test("Docker pulls what we push, and we what it pushes", async () => {
  const ours = `${inside.host}/ours:1`;
  await within("copy", `docker-archive:${archive}`, `docker://${ours}`);
  await docker.succeed(["pull", "--quiet", ours]);
  expect(await hello(ours)).toBe("hello");
  const theirs = `${inside.host}/theirs:1`;
  await docker.succeed(["tag", ours, theirs]);
  await docker.succeed(["push", "--quiet", theirs]);
  await within("pull", theirs);
  const { stdout } = await command([BUNNY, "inspect", theirs], { env: env() });
  expect(JSON.parse(stdout)).toMatchObject({
    mediaType: DOCKER_MANIFEST,
    layers: [{ mediaType: expect.stringContaining("gzip") }],
  });
  await within("copy", theirs, "docker-daemon:round:1");
  expect(await hello("round:1")).toBe("hello");
});

test("Docker gets layers of zstd as it can read them", async () => {
  await bunny("copy", `docker-archive:${archive}`, `oci:${store("zstd")}:plain`);
  const layout = Layout.open(store("zstd"));
  const manifest = JSON.parse(
    new TextDecoder().decode(await layout.manifestBytes(layout.find("plain") as never)),
  ) as Manifest;
  const layer = readFileSync(layout.blobPath(manifest.layers[0]?.digest ?? ""));
  manifest.layers = [
    await layout.addBytes(zstdCompressSync(layer), "application/vnd.oci.image.layer.v1.tar+zstd"),
  ];
  const bytes = new TextEncoder().encode(JSON.stringify(manifest));
  await layout.add(await layout.addBytes(bytes, OCI_MANIFEST), "zstd");
  await within("copy", `oci:${store("zstd")}:zstd`, "docker-daemon:zstd:1");
  expect(await hello("zstd:1")).toBe("hello");
});
