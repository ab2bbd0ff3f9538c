import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Manifest } from "../../src/image/spec/manifest.ts";
import {
  DOCKER_CONFIG,
  DOCKER_INDEX,
  DOCKER_MANIFEST,
  OCI_INDEX,
  OCI_MANIFEST,
} from "../../src/image/spec/media-type.ts";
import { Layout } from "../../src/image/store/layout.ts";
import { BUNNY } from "../harness/build-place.ts";
import { command, until } from "../harness/command.ts";
import { useImageStores } from "../harness/image-stores.ts";
import { ensureImage } from "../harness/images.ts";
import { type Registry, type Relay, startRegistry, startRelay } from "../harness/registry.ts";

setDefaultTimeout(120_000);

let archive: string;
let large: string;
let registry: Registry;
beforeAll(async () => {
  archive = (await ensureImage("busybox")).archive;
  large = (await ensureImage("debian")).archive;
  registry = await startRegistry();
});
afterAll(() => registry?.stop());

const place = useImageStores();
const { environment, store, blobs, run, bunny, refused } = place;

describe("a registry", () => {
  test("gives back what was pushed: OCI, in one request and in parts", async () => {
    for (const [name, file] of [
      ["small", archive],
      ["large", large],
    ] as const) {
      const image = `${registry.host}/test/${name}:1`;
      const pushed = await bunny("copy", "--store", store("a"), `docker-archive:${file}`, image);
      expect(await bunny("push", "--store", store("a"), image)).toBe(pushed);
      expect(await bunny("pull", "--store", store("b"), image)).toBe(pushed);
      expect(await bunny("pull", "--store", store("b"), `${registry.host}/test/${name}@${pushed}`)).toBe(
        pushed,
      );
    }
    expect(blobs("a")).toEqual(blobs("b"));
    expect(registry.log()).toMatch(/PATCH \/v2\/test\/large\/.* 202 /);
    expect(registry.log()).not.toMatch(/PATCH \/v2\/test\/small\//);
    const listed = JSON.parse((await run(["images", "--store", store("b"), "--format", "json"])).stdout);
    expect(listed.length).toBe(4);
    expect(listed[0]).toMatchObject({ platforms: ["linux/amd64"] });
  });

  test("gives and takes Docker's schema 2", async () => {
    const layout = Layout.openOrCreate(store("schema2"));
    await bunny("copy", `docker-archive:${archive}`, `oci:${store("schema2")}`);
    const [root] = layout.index().manifests;
    const manifest = JSON.parse(
      new TextDecoder().decode(await layout.manifestBytes(root as never)),
    ) as Manifest;
    manifest.mediaType = DOCKER_MANIFEST;
    manifest.config.mediaType = DOCKER_CONFIG;
    for (const layer of manifest.layers) layer.mediaType = "application/vnd.docker.image.rootfs.diff.tar";
    const bytes = new TextEncoder().encode(JSON.stringify(manifest));
    await layout.add(await layout.addBytes(bytes, DOCKER_MANIFEST), "docker");
    const image = `${registry.host}/test/schema2:1`;
    const pushed = await bunny("copy", `oci:${store("schema2")}:docker`, `docker://${image}`);
    expect(await bunny("pull", image)).toBe(pushed);
    const inspected = JSON.parse((await run(["inspect", image])).stdout);
    expect(inspected).toMatchObject({ mediaType: DOCKER_MANIFEST, platform: "linux/amd64" });
    expect((await run(["inspect", "--raw", image])).stdout).toBe(new TextDecoder().decode(bytes));
  });

  test.each([OCI_INDEX, DOCKER_INDEX])("has an index (%s) of two platforms", async (mediaType) => {
    const name = `${registry.host}/test/${mediaType === OCI_INDEX ? "index" : "list"}:1`;
    await makeIndex(mediaType);
    const whole = await bunny("copy", `oci:${store("index")}:both`, `docker://${name}`);

    const native = await bunny("pull", "--store", store("amd64"), name);
    const foreign = await bunny("pull", "--store", store("arm64"), "--platform", "linux/arm64", name);
    expect(new Set([whole, native, foreign]).size).toBe(3);
    const platformIn = async (one: string) =>
      JSON.parse((await run(["inspect", "--store", store(one), name])).stdout).platform;
    expect([await platformIn("amd64"), await platformIn("arm64")]).toEqual(["linux/amd64", "linux/arm64/v8"]);
    expect(await bunny("pull", "--store", store("all"), "--all-platforms", name)).toBe(whole);
    expect((await run(["images", "--store", store("all")])).stdout).toContain("linux/amd64,linux/arm64/v8");
    expect(await bunny("inspect", "--store", store("all"), "--platform", "linux/arm64", name)).toBe("}");
    expect(await refused(["pull", "--platform", "linux/s390x", name])).toContain(
      "is not there for linux/s390x: it is for linux/amd64, linux/arm64/v8",
    );
    const remote = JSON.parse((await run(["inspect", `docker://${name}`])).stdout);
    expect(remote.manifests.map((one: { platform: string }) => one.platform)).toEqual([
      "linux/amd64",
      "linux/arm64/v8",
    ]);
  });

  test("is told that it has a blob in another repository", async () => {
    const first = `${registry.host}/test/first:1`;
    await bunny("copy", `docker-archive:${archive}`, `docker://${first}`);
    await bunny("copy", `docker://${first}`, `docker://${registry.host}/test/second:1`);
    expect(registry.log()).toMatch(
      /POST \/v2\/test\/second\/blobs\/uploads\/\?mount=.*from=test%2Ffirst HTTP\/1.1" 201 /,
    );
    expect(registry.log()).not.toMatch(/PUT \/v2\/test\/second\/blobs/);
  });

  test("is asked for a mirror's image only where the mirror fails", async () => {
    await bunny("copy", `docker-archive:${archive}`, `docker://${registry.host}/library/mirrored:1`);
    const file = join(place.directory, "bunny.toml");
    writeFileSync(file, `[registries."docker.io"]\nmirrors = ["${registry.host}"]\n`);
    const pulled = await run(["pull", "mirrored:1"], { BUNNY_CONFIG_FILE: file });
    expect(pulled.stdout).toStartWith("mirrored:1 sha256:");
  });
});

/** A layout with the image for two platforms: the second differs in its configuration alone. */
async function makeIndex(mediaType: string): Promise<void> {
  await bunny("copy", `docker-archive:${archive}`, `oci:${store("index")}:native`);
  const layout = Layout.open(store("index"));
  const native = layout.find("native");
  if (native === undefined) throw new Error("no image");
  const manifest = JSON.parse(new TextDecoder().decode(await layout.manifestBytes(native))) as Manifest;
  const config = JSON.parse(readFileSync(layout.blobPath(manifest.config.digest), "utf8"));
  const text = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));
  const other = { ...config, architecture: "arm64", variant: "v8" };
  manifest.config = await layout.addBytes(text(other), manifest.config.mediaType);
  const foreign = await layout.addBytes(text(manifest), OCI_MANIFEST);
  const { annotations: _, ...rest } = native;
  const manifests = [
    { ...rest, platform: { os: "linux", architecture: "amd64" } },
    { ...foreign, platform: { os: "linux", architecture: "arm64", variant: "v8" } },
  ];
  const index = { schemaVersion: 2, mediaType, manifests };
  await layout.add(await layout.addBytes(text(index), mediaType), "both");
}

describe("who asks", () => {
  const login = (host: string, password: string) => {
    mkdirSync(join(place.directory, ".docker"), { recursive: true });
    const auth = Buffer.from(`user:${password}`).toString("base64");
    writeFileSync(
      join(place.directory, ".docker/config.json"),
      JSON.stringify({ auths: { [host]: { auth } } }),
    );
  };

  test.each(["basic", "token"] as const)(
    "is proved with what docker login leaves (%s)",
    async (authentication) => {
      const guarded = await startRegistry({ authentication });
      try {
        const image = `${guarded.host}/private/app:1`;
        await bunny("copy", `docker-archive:${archive}`, image);
        expect(await refused(["push", "-q", image])).toContain("docker login");
        expect(await refused(["pull", image])).toContain("docker login");
        login(guarded.host, "wrong");
        expect(await refused(["push", "-q", image])).toContain("docker login");
        login(guarded.host, "secret");
        const pushed = await bunny("push", image);
        expect(await bunny("pull", "--store", store("fresh"), image)).toBe(pushed);
        await bunny("copy", `docker://${image}`, `docker://${guarded.host}/private/other:1`);
        expect(guarded.log()).toMatch(/mount=.* 201 /);

        rmSync(join(place.directory, ".docker/config.json"));
        const helper = join(place.directory, "docker-credential-test");
        writeFileSync(helper, `#!/bin/sh\necho '{"Username":"user","Secret":"secret"}'\n`);
        chmodSync(helper, 0o755);
        writeFileSync(join(place.directory, ".docker/config.json"), '{"credsStore":"test"}');
        const PATH = `${place.directory}:${process.env["PATH"]}`;
        expect((await run(["pull", "--store", store("helped"), image], { PATH })).stdout).toContain(pushed);
      } finally {
        await guarded.stop();
      }
    },
  );

  test("needs no proof for what anybody may pull", async () => {
    const guarded = await startRegistry({ authentication: "token" });
    try {
      const image = `${guarded.host}/public/app:1`;
      login(guarded.host, "secret");
      const pushed = await bunny("copy", `docker-archive:${archive}`, `docker://${image}`);
      rmSync(join(place.directory, ".docker"), { recursive: true });
      expect(await bunny("pull", "--store", store("fresh"), image)).toBe(pushed);
      expect(await refused(["copy", `docker-archive:${archive}`, `docker://${image}`])).toMatch(
        /docker login|not allow/,
      );
    } finally {
      await guarded.stop();
    }
  });
});

describe("a pull", () => {
  let size: number;
  let digest: string;
  const image = (host: string) => `${host}/test/debian:1`;
  beforeAll(async () => {
    const made = mkdtempSync(join(tmpdir(), "urunc-images-"));
    try {
      const args = ["copy", "--store", made, `docker-archive:${large}`, `docker://${image(registry.host)}`];
      const pushed = await command([BUNNY, ...args], {
        env: { PATH: process.env["PATH"] ?? "", HOME: made },
      });
      digest = pushed.stdout.trim();
      size = statSync(large).size;
    } finally {
      rmSync(made, { recursive: true });
    }
  });

  const through = async <T>(relay: Relay, work: (name: string) => Promise<T>) => {
    try {
      return await work(image(relay.host));
    } finally {
      relay.stop();
    }
  };

  test("goes on where its connection was cut", async () => {
    const relay = startRelay(registry.port, 10_000_000, 3);
    await through(relay, async (name) => expect(await bunny("pull", name)).toBe(digest));
    expect(relay.bytes()).toBeGreaterThan(size * 0.99);
    expect(relay.bytes()).toBeLessThan(size * 1.3);
  });

  test("that was killed is continued by the next", async () => {
    const relay = startRelay(registry.port);
    await through(relay, async (name) => {
      const partial = () =>
        existsSync(join(store(), "ingest"))
          ? Math.max(
              0,
              ...readdirSync(join(store(), "ingest")).map(
                (one) => statSync(join(store(), "ingest", one)).size,
              ),
            )
          : 0;
      const killed = Bun.spawn([BUNNY, "pull", "--store", store(), name], {
        env: environment(),
        stdout: "ignore",
        stderr: "ignore",
      });
      await until(
        "a part is there",
        () => partial() > 2_000_000 || existsSync(join(store(), "index.json")),
        60_000,
        1,
      );
      killed.kill("SIGKILL");
      await killed.exited;
      const had = partial();
      const before = relay.bytes();
      expect((await run(["images", "--store", store()])).stdout).not.toContain("debian");
      expect(await bunny("pull", "--store", store(), name)).toBe(digest);
      expect(relay.bytes() - before).toBeLessThan(size - had + 1_000_000);
      expect(existsSync(join(store(), "ingest"))).toBe(false);
    });
  });

  test("at once with another downloads everything once", async () => {
    const relay = startRelay(registry.port);
    await through(relay, async (name) => {
      const digests = await Promise.all([1, 2, 3].map(() => bunny("pull", "--store", store(), name)));
      expect(digests).toEqual([digest, digest, digest]);
    });
    expect(relay.bytes()).toBeLessThan(size * 1.1);
    expect(blobs().length).toBe(3);
  });

  test("of a blob that is not what its digest says leaves nothing of it", async () => {
    const name = `${registry.host}/test/spoilt:1`;
    const pushed = await bunny(
      "copy",
      "--store",
      store("a"),
      `docker-archive:${archive}`,
      `docker://${name}`,
    );
    const manifest = JSON.parse((await run(["inspect", "--raw", `docker://${name}`])).stdout) as Manifest;
    const hex = (manifest.layers[0]?.digest ?? "").slice(7);
    const file = join(registry.storage, `docker/registry/v2/blobs/sha256/${hex.slice(0, 2)}/${hex}/data`);
    const good = readFileSync(file);
    try {
      const bad = Buffer.from(good);
      bad[1000] = (bad[1000] as number) ^ 1;
      for (const [content, why] of [
        [bad, "was damaged"],
        [good.subarray(0, 5000), "is truncated"],
        [Buffer.concat([good, bad]), "has more than its"],
      ] as const) {
        writeFileSync(file, content);
        expect(await refused(["pull", "--store", store("b"), name])).toContain(why);
        expect(blobs("b")).not.toContain(hex);
      }
    } finally {
      writeFileSync(file, good);
    }
    expect(await bunny("pull", "--store", store("b"), name)).toBe(pushed);
    expect(readFileSync(join(store("b"), "blobs/sha256", hex)).equals(good)).toBe(true);
  });
});

describe("the store", () => {
  test("forgets an image with rmi, and what nobody has with prune", async () => {
    await bunny("copy", "--store", store(), `docker-archive:${archive}`, "one:1");
    await bunny("copy", "--store", store(), "one:1", "two:1");
    expect((await run(["rmi", "--store", store(), "one:1"])).stdout).toContain("removed one:1, 0 B");
    expect(await refused(["rmi", "--store", store(), "one:1"])).toContain("the store has no image one:1");
    expect(blobs().length).toBe(3);
    await run(["rmi", "--store", store(), "two:1"]);
    expect(blobs()).toEqual([]);
    writeFileSync(join(store(), "blobs/sha256/0000"), "x");
    expect((await run(["prune", "--store", store()])).stdout).toBe("removed 1 file, 1 B\n");
  });

  test("is where XDG says", async () => {
    const { exitCode } = await run(["copy", "-q", `docker-archive:${archive}`, "one:1"], {
      XDG_DATA_HOME: join(place.directory, "data"),
    });
    expect(exitCode).toBe(0);
    expect(existsSync(join(place.directory, "data/bunny/index.json"))).toBe(true);
  });
});

describe("archives", () => {
  test("go through standard input and output, and stay the same image", async () => {
    const digest = await bunny("copy", `docker-archive:${archive}`, "app:1");
    const pipe = `cat ${archive} | ${BUNNY} copy - oci-archive:-:x | ${BUNNY} copy - - | ${BUNNY} copy - app:2`;
    const { stdout, exitCode } = await command(["bash", "-o", "pipefail", "-c", pipe], {
      env: environment(),
    });
    expect(exitCode).toBe(0);
    expect(stdout.trim()).toBe(digest);
    expect(await bunny("copy", "app:2", `oci:${store("dir")}:x`)).toBe(digest);
    expect(JSON.parse((await run(["inspect", `oci:${store("dir")}:x`])).stdout).digest).toBe(digest);
    expect(JSON.parse((await run(["inspect", `docker-archive:${archive}`])).stdout).digest).toBe(digest);
  });
});

describe("one sentence says what is wrong", () => {
  test.each<[string[], string]>([
    [["pull"], "takes 1 argument, not 0"],
    [["pull", "a", "b"], "takes 1 argument, not 2"],
    [["pull", "UPPER"], "must be in lower case"],
    [["pull", "--frob", "a"], "--frob"],
    [["pull", "--platform", "x/", "127.0.0.1:1/a"], "is no platform"],
    [["pull", "--platform", "x", "--all-platforms", "a"], "exclude each other"],
    [["push", "nothing:1"], "nothing:1 is not in "],
    [["inspect", "oci:/does/not/exist"], "is no image layout"],
    [["inspect", "docker-archive:/etc/passwd"], "it is no tar archive"],
    [["inspect", "--raw", "--config", "a"], "exclude each other"],
    [["copy", "a"], "takes 2 arguments, not 1"],
    [["copy", "ftp://a", "b"], "unknown word ftp"],
    [["copy", "docker-archive:/does/not/exist", "b"], "there is no file"],
    [["images", "--format", "xml"], "text or json"],
    [["images", "--store", "/proc/none"], "cannot write /proc/none"],
    [["rmi"], "takes at least 1 argument"],
    [["prune", "x"], "takes 0 arguments"],
  ])("%j", async (args, why) => {
    expect(await refused(args)).toContain(why);
  });

  test("that nobody listens, that there is no such image, that Docker is not there", async () => {
    expect(await refused(["pull", `${registry.host}/none:1`])).toContain(
      "does not have it (404: manifest unknown)",
    );
    expect(await refused(["copy", "docker-daemon:a", "b"], { DOCKER_HOST: "unix:///none" })).toContain(
      "Docker cannot be reached at /none",
    );
  });

  test("with a configuration that is wrong", async () => {
    const file = join(place.directory, "bunny.toml");
    writeFileSync(file, "[registry]\n");
    expect(await refused(["pull", "a"], { BUNNY_CONFIG_FILE: file })).toContain("unknown key registry");
    expect(await refused(["pull", "a"], { BUNNY_CONFIG_FILE: "/none" })).toContain(
      "cannot read the configuration",
    );
  });
});
