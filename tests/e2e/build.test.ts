import {
  afterAll,
  afterEach,
  beforeAll,
  beforeEach,
  describe,
  expect,
  setDefaultTimeout,
  test,
} from "bun:test";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
} from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { BUILTIN, BuildPlace, SHARE, START } from "../harness/build-place.ts";
import { succeed } from "../harness/command.ts";
import type { Docker } from "../harness/docker.ts";
import { startLoadedDocker } from "../harness/loaded-docker.ts";

setDefaultTimeout(180_000);

let place: BuildPlace;
let docker: Docker;

beforeAll(async () => {
  docker = await startLoadedDocker("build", []);
  place = await BuildPlace.open();
}, 600_000);
afterAll(async () => {
  await place?.close();
  await docker?.stop();
});
beforeEach(() => place.begin());
afterEach(() => place.end());

interface Config {
  created: string;
  architecture: string;
  config: {
    Entrypoint?: string[];
    Cmd?: string[];
    Env?: string[];
    User?: string;
    Labels: Record<string, string>;
  };
  history: { created_by: string }[];
  rootfs: { diff_ids: string[] };
}

async function configOf(name: string): Promise<Config> {
  return JSON.parse(
    (await place.run(["inspect", "--store", place.store, "--config", name])).stdout,
  ) as Config;
}

/** The files of an image, as Docker unpacks it. */
async function unpacked(name: string): Promise<string> {
  const archive = join(place.directory, "image.tar");
  await place.bunny(["copy", "-q", name, `docker-archive:${archive}:${name}`]);
  await docker.succeed(["load", "--input", archive]);
  const id = await docker.succeed(["create", name, "none"]);
  const files = mkdtempSync(join(place.directory, "unpacked-"));
  const tar = join(place.directory, "export.tar");
  await docker.succeed(["export", "--output", tar, id]);
  await succeed(["tar", "-xpf", tar, "-C", files, "--numeric-owner"]);
  await docker.succeed(["rm", id]);
  return files;
}

const same = (one: string, other: string) => readFileSync(one).equals(readFileSync(other));

describe("an image whose own files are the root", () => {
  const FILE = `${BUILTIN}rootfs:
  from: BASE
  type: raw
  include:
    - hello:/opt/hello
    - conf.d:/etc
    - from: OTHER
      source: /etc/nsswitch.conf
      destination: /opt/
urunit: false
cmd: [/opt/hello, two words]
envs: [GREETING=hello]
annotations: {org.example.note: "1.10"}
`;

  test("has what existing runtimes look for, and boots", async () => {
    place.write("hello", '#!/bin/sh\necho "$GREETING $1 $(cat /etc/sub/note) on $(uname -r)"\n');
    await succeed(["chmod", "755", join(place.context, "hello")]);
    place.write("conf.d/sub/note", "note");
    symlinkSync("note", join(place.context, "conf.d/sub/link"));
    await place.build(FILE.replace("BASE", place.busybox).replace("OTHER", place.redis), [
      "-t",
      "local/raw:1",
    ]);
    place.expectTidy();
    const root = await unpacked("local/raw:1");
    expect(same(join(root, ".boot/kernel"), join(SHARE, "vmlinux"))).toBe(true);
    expect(same(join(root, ".boot/config"), join(SHARE, "kernel.config"))).toBe(true);
    expect(existsSync(join(root, "urunit"))).toBe(false);
    expect(readFileSync(join(root, "etc/sub/link"), "utf8")).toBe("note");
    expect(readFileSync(join(root, "opt/nsswitch.conf"), "utf8")).toContain("hosts:");
    // What is there keeps what it was.
    expect(statSync(join(root, "tmp")).mode & 0o7777).toBe(0o1777);
    const json = join(root, "urunc.json");
    expect(statSync(json).mode & 0o7777).toBe(0o644);
    const told = Object.entries(JSON.parse(readFileSync(json, "utf8")) as Record<string, string>);
    const annotations = Object.fromEntries(told.map(([key, value]) => [key, atob(value)]));
    expect(annotations).toEqual({
      "com.urunc.unikernel.binary": "/.boot/kernel",
      "com.urunc.unikernel.cmdline": "/opt/hello 'two words'",
      "com.urunc.unikernel.hypervisor": "qemu",
      "com.urunc.unikernel.mountRootfs": "true",
      "com.urunc.unikernel.unikernelType": "linux",
    });
    const { config, history, rootfs } = await configOf("local/raw:1");
    expect(config.Labels).toEqual({ ...annotations, "org.example.note": "1.10" });
    expect(config.Env?.at(-1)).toBe("GREETING=hello");
    expect(history.length).toBe(rootfs.diff_ids.length);
    const inspected = JSON.parse(
      (await place.run(["inspect", "--store", place.store, "local/raw:1"])).stdout,
    );
    expect(inspected.annotations).toEqual(config.Labels);
    expect(inspected.mediaType).toBe("application/vnd.oci.image.manifest.v1+json");

    const said = await docker.succeed(["run", "--rm", "--runtime", "urunc", "local/raw:1"]);
    expect(said).toMatch(/^hello two words note on 6\.12\.\d+-urunc$/);
    await docker.succeed(["rmi", "local/raw:1"]);
  });

  test("has our init and runs it first, unless the base declines", async () => {
    await place.build(`${BUILTIN}rootfs: {from: "${place.redis}"}\n`, ["-t", "local/init:1"]);
    const root = await unpacked("local/init:1");
    expect(same(join(root, "urunit"), join(SHARE, "urunit"))).toBe(true);
    expect(statSync(join(root, "urunit")).mode & 0o7777).toBe(0o755);
    const { config } = await configOf("local/init:1");
    expect(config.Entrypoint).toEqual(["/urunit"]);
    expect(config.Cmd?.[0]).toBe("redis-server");
    expect(config.User).toBe("redis");
  });
});

describe("an image with its root in a file", () => {
  const include = "  include: [hello:/opt/deep/hello]\n";

  test("initrd: has the base's files, what is included, and our init", async () => {
    place.write("hello", "hello");
    await place.build(`${BUILTIN}rootfs:\n  from: ${place.redis}\n  type: initrd\n${include}`, [
      "-t",
      "local/initrd:1",
    ]);
    place.expectTidy();
    const root = await unpacked("local/initrd:1");
    expect(readdirSync(root).sort()).toEqual(expect.arrayContaining([".boot", "urunc.json", "urunit"]));
    expect(existsSync(join(root, "usr"))).toBe(false);
    const listed = await succeed([
      "cpio",
      "--quiet",
      "-tv",
      "--numeric-uid-gid",
      "-F",
      join(root, ".boot/rootfs"),
    ]);
    expect(listed).toMatch(/^-rwxr-xr-x +1 0 +0 .* urunit$/m);
    expect(listed).toMatch(/^drwxr-xr-x +2 999 +999 .* data$/m);
    expect(listed).toContain("opt/deep/hello");
    const { config } = await configOf("local/initrd:1");
    expect(config.Labels["com.urunc.unikernel.initrd"]).toBe("/.boot/rootfs");
    // Docker would look the name up in the image's own files.
    expect(config.User).toBe("999:999");
  });

  test("block: is an ext4 of the size that is asked for", async () => {
    place.write("hello", "hello");
    const file = `${BUILTIN}rootfs:\n  from: ${place.redis}\n  type: block\n  size: 300M\n${include}`;
    await place.build(file, ["-t", "local/block:1"]);
    place.expectTidy();
    const image = join(await unpacked("local/block:1"), ".boot/rootfs");
    expect(statSync(image).size).toBe(300 << 20);
    await succeed(["fsck.ext4", "-fn", image]);
    expect(await succeed(["debugfs", "-R", "cat /opt/deep/hello", image])).toBe("hello");
    expect(await succeed(["debugfs", "-R", "stat /data", image])).toMatch(/User: +999 +Group: +999/);
    expect(await succeed(["debugfs", "-R", "stat /urunit", image])).toMatch(/Mode: +0755/);
    const { Labels } = (await configOf("local/block:1")).config;
    expect(Labels).toMatchObject({
      "com.urunc.unikernel.block": "/.boot/rootfs",
      "com.urunc.unikernel.blkMntPoint": "/",
      "com.urunc.unikernel.mountRootfs": "false",
    });
  });

  test("that is there is taken as it is", async () => {
    await succeed(
      ["sh", "-c", `mkdir made && echo x > made/x && (cd made && find . | cpio -o -H newc) > root.cpio`],
      {
        cwd: place.context,
      },
    );
    const file = `${BUILTIN}rootfs: {from: local, path: root.cpio, type: initrd}\ncmdline: "/urunit /app"\n`;
    await place.build(file, ["-t", "local/prebuilt:1"]);
    const root = await unpacked("local/prebuilt:1");
    expect(same(join(root, ".boot/rootfs"), join(place.context, "root.cpio"))).toBe(true);
    expect((await configOf("local/prebuilt:1")).config).toMatchObject({
      Entrypoint: ["/urunit"],
      Cmd: ["/app"],
    });
  });

  test("initrd: can be added to, compressed or not", async () => {
    place.write("hello", "hello");
    const make =
      "mkdir -p made/tmp && chmod 1777 made/tmp && echo x > made/x && ln made/x made/y && ln made/x made/z && ln -s / made/l";
    await succeed(["sh", "-c", `${make} && (cd made && find . | cpio -o -H newc) > root.cpio`], {
      cwd: place.context,
    });
    place.write("root.cpio.gz", gzipSync(readFileSync(join(place.context, "root.cpio"))));
    for (const name of ["root.cpio", "root.cpio.gz"]) {
      const file = `${BUILTIN}rootfs: {from: local, path: ${name}, type: initrd, include: [hello:/tmp/hello, hello:l/x]}\n`;
      const out = join(place.directory, "out.cpio");
      await place.build(file, ["-o", `initrd:${out}`]);
      const listed = await succeed(["cpio", "--quiet", "-tv", "-F", out]);
      expect(listed).toMatch(/^drwxrwxrwt .* tmp$/m);
      expect(listed).toMatch(/^-rw-r--r-- +2 .* y$/m);
      expect(listed).toContain("tmp/hello");
      expect(await succeed(["sh", "-c", `cpio --quiet -i --to-stdout x < ${out}`])).toBe("hello");
    }
  });

  test("block: can be added to", async () => {
    place.write("hello", "hello");
    place.write("more/sub/file", "in a directory");
    symlinkSync("file", join(place.context, "more/sub/link"));
    await succeed(
      ["sh", "-c", "mkdir -p made/tmp made/bin && chmod 1777 made/tmp && echo old > made/bin/hello"],
      {
        cwd: place.context,
      },
    );
    await succeed(["mkfs.ext4", "-q", "-d", "made", "root.img", "16M"], { cwd: place.context });
    const file = `${BUILTIN}rootfs:
  from: local
  path: root.img
  type: block
  include: [hello:/bin/hello, hello:/tmp/a name, more:/opt]
`;
    const [one, other] = [join(place.directory, "one.img"), join(place.directory, "other.img")];
    await place.build(file, ["-o", `block:${one}`]);
    await place.build(file, ["-o", `block:${other}`]);
    expect(same(one, other)).toBe(true);
    await succeed(["fsck.ext4", "-fn", one]);
    const debugfs = (request: string) => succeed(["debugfs", "-R", request, one]);
    expect(await debugfs("cat /bin/hello")).toBe("hello");
    expect(await debugfs('cat "/tmp/a name"')).toBe("hello");
    expect(await debugfs("cat /opt/sub/file")).toBe("in a directory");
    expect(await debugfs("stat /opt/sub/link")).toContain('Fast link dest: "file"');
    expect(await debugfs("stat /tmp")).toMatch(/Mode: +01777/);
    expect(await debugfs("stat /bin/hello")).toMatch(/Type: regular +Mode: +0644/);
    expect(statSync(join(place.context, "root.img")).size).toBe(statSync(one).size);
    place.expectTidy();
  });
});

test("the same input gives the same digest, wherever and whenever it is built", async () => {
  place.write("hello", "hello");
  mkdirSync(join(place.context, "sub"));
  const digests: string[] = [];
  for (const type of ["raw", "initrd", "block"]) {
    const file = `${BUILTIN}rootfs: {from: "${place.busybox}", type: ${type}, include: [hello:/hello, sub:/sub]}\n`;
    const first = await place.build(file);
    const copy = join(place.directory, "copy");
    cpSync(place.context, copy, { recursive: true });
    utimesSync(join(copy, "hello"), 1_000_000_000, 1_700_000_000);
    const other = await place.run(["build", "-q", "--store", join(place.directory, "other"), copy]);
    expect(other.stdout.trim()).toBe(first);
    rmSync(copy, { recursive: true });
    digests.push(first);
  }
  expect(new Set(digests).size).toBe(3);
});

test("SOURCE_DATE_EPOCH is the time that nothing is newer than", async () => {
  place.write("hello", "hello");
  const file = `${BUILTIN}rootfs: {from: "${place.busybox}", include: [hello:/hello]}\n`;
  const later = { SOURCE_DATE_EPOCH: "1700000000" };
  const digest = await place.build(file, ["-t", "local/dated:1"], later);
  expect(await place.build(file, [], later)).toBe(digest);
  expect(await place.build(file)).not.toBe(digest);
  expect((await configOf("local/dated:1")).created).toBe("2023-11-14T22:13:20Z");
  const root = await unpacked("local/dated:1");
  for (const name of ["hello", ".boot/kernel", "urunc.json"]) {
    expect(statSync(join(root, name)).mtimeMs).toBe(1_700_000_000_000);
  }
  place.write("bunnyfile", file);
  const { stderr } = await place.run(["build", "--store", place.store, place.context], {
    SOURCE_DATE_EPOCH: "now",
  });
  expect(stderr).toContain("SOURCE_DATE_EPOCH is a number of seconds");
});

describe("what we publish", () => {
  test("our kernel is one for a bunnyfile, also by its digest", async () => {
    const name = `${place.registry.host}/guest/kernel:6.12`;
    const digest = await place.bunny(["kernel", "push", "-q", name]);
    const about = JSON.parse((await place.run(["inspect", `docker://${name}`])).stdout);
    expect(about.platform).toBe("linux/amd64");
    expect(about.process.labels["org.opencontainers.image.version"]).toMatch(/^6\.12\./);
    for (const reference of [name, `${place.registry.host}/guest/kernel@${digest}`]) {
      rmSync(place.store, { recursive: true });
      await place.build(`${START}kernel: {from: "${reference}", path: /kernel}\n`, ["-t", "local/app:1"]);
      const root = await unpacked("local/app:1");
      expect(same(join(root, ".boot/kernel"), join(SHARE, "vmlinux"))).toBe(true);
      expect(same(join(root, ".boot/config"), join(SHARE, "kernel.config"))).toBe(true);
    }
  });

  test("our init is one for a Containerfile", async () => {
    const archive = join(place.directory, "urunit.tar");
    await place.bunny(["urunit", "image", "-q", "-o", `docker-archive:${archive}:local/urunit:1`]);
    await docker.succeed(["load", "--input", archive]);
    place.write(
      "Dockerfile",
      'FROM local/urunit:1 AS init\nFROM scratch\nCOPY --from=init /urunit /urunit\nCMD ["/urunit"]\n',
    );
    await docker.succeed(["build", "-q", "-t", "local/with-init", place.context]);
    const id = await docker.succeed(["create", "local/with-init"]);
    await docker.succeed(["cp", `${id}:/urunit`, join(place.directory, "urunit")]);
    expect(same(join(place.directory, "urunit"), join(SHARE, "urunit"))).toBe(true);
    await docker.succeed(["rm", id]);
  });
});

describe("several platforms", () => {
  /** The start of an Image: Documentation/arch/arm64/booting.rst. */
  function armKernel(): Uint8Array {
    const image = Buffer.alloc(4096);
    image.write("ARM\x64", 56, "latin1");
    return image;
  }

  test("are an index of images, each with what is its own", async () => {
    place.write("kernels/amd64", readFileSync(join(SHARE, "vmlinux")));
    place.write("kernels/arm64", armKernel());
    place.write("app/arm64/app", "for arm64");
    place.write("app/amd64/app", "for amd64");
    const file = `version: v0.1
platforms: {framework: linux, monitor: qemu, architecture: [amd64, aarch64]}
kernel: {from: local, path: "kernels/{architecture}"}
rootfs: {include: ["app/{architecture}:/app"]}
urunit: false
`;
    const name = `${place.registry.host}/test/both:1`;
    const digest = await place.build(file, ["-t", name, "--push"]);
    const index = JSON.parse((await place.run(["inspect", "--store", place.store, name])).stdout);
    expect(index.manifests.map((one: { platform: string }) => one.platform)).toEqual([
      "linux/amd64",
      "linux/arm64",
    ]);
    const pushed = JSON.parse((await place.run(["inspect", `docker://${name}`])).stdout);
    expect(pushed.digest).toBe(digest);
    const root = join(place.directory, "root");
    await place.build(file, ["-o", `rootfs:${root}`, "--platform", "linux/arm64"]);
    expect(readFileSync(join(root, "app/app"), "utf8")).toBe("for arm64");
    place.write("bunnyfile", file);
    const refused = await place.run([
      "build",
      "--store",
      place.store,
      "--platform",
      "linux/riscv64",
      place.context,
    ]);
    expect(refused.stderr).toContain(
      "images are built for linux/amd64 and linux/arm64, not for linux/riscv64",
    );
  });

  test("an image or a kernel for another is refused", async () => {
    place.write("kernel", armKernel());
    const file = `${START}kernel: {from: local, path: kernel}\n`;
    await expect(place.build(file)).rejects.toThrow(
      "bunnyfile:3:29: kernel is no kernel for this image: it is for arm64, and the image for amd64",
    );
    const arm = START.replace("x86", "arm64");
    await expect(
      place.build(
        `${arm}kernel: {from: local, path: kernel}\nrootfs: {from: "${place.busybox}"}\nurunit: false\n`,
      ),
    ).rejects.toThrow("is an image for linux/amd64 and not for linux/arm64");
  });
});

test("outputs: archives, layouts, Docker, a registry and files", async () => {
  place.write("hello", "hello");
  const file = `${BUILTIN}rootfs: {from: "${place.busybox}", type: block, include: [hello:/hello]}\n`;
  const at = (name: string) => join(place.directory, name);
  const registered = `${place.registry.host}/test/out:1`;
  const flags = [
    "-t",
    registered,
    "--push",
    ...["oci", "oci-archive", "docker-archive"].flatMap((kind) => ["-o", `${kind}:${at(kind)}`]),
  ];
  for (const kind of ["rootfs", "initrd", "block", "kernel"]) flags.push("-o", `${kind}:${at(kind)}`);
  const digest = await place.build(file, [...flags, "--load"], { DOCKER_HOST: `unix://${docker.socket}` });
  for (const output of [`oci:${at("oci")}`, `oci-archive:${at("oci-archive")}`, `docker://${registered}`]) {
    expect(JSON.parse((await place.run(["inspect", output])).stdout).digest).toBe(digest);
  }
  expect(await succeed(["tar", "-xOf", at("docker-archive"), "manifest.json"])).toContain(registered);
  expect(await docker.succeed(["image", "ls", "--format", "{{.Repository}}"])).toContain(
    `${place.registry.host}/test/out`,
  );
  expect(readFileSync(at("rootfs/hello"), "utf8")).toBe("hello");
  expect(existsSync(at("rootfs/urunit"))).toBe(true);
  expect(existsSync(at("rootfs/.boot"))).toBe(false);
  await succeed(["fsck.ext4", "-fn", at("block")]);
  expect(await succeed(["cpio", "--quiet", "-t", "-F", at("initrd")])).toContain("\nhello\n");
  expect(same(at("kernel"), join(SHARE, "vmlinux"))).toBe(true);
});
