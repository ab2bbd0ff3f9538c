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
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { gzipSync } from "node:zlib";
import { type CommandResult, command, succeed, until } from "../harness/command.ts";
import type { Docker } from "../harness/docker.ts";
import { ensureImage } from "../harness/images.ts";
import { startLoadedDocker } from "../harness/loaded-docker.ts";
import { type Registry, startRegistry } from "../harness/registry.ts";

setDefaultTimeout(180_000);

const dist = join(resolve(import.meta.dir, "../.."), "dist");
const bunnyPath = join(dist, "bin/bunny");
const share = join(dist, "share/urunc");

let registry: Registry;
/** In the registry. */
let busybox: string;
let redis: string;
let directory: string;
let context: string;
let docker: Docker;

beforeAll(async () => {
  const archives = await Promise.all([ensureImage("busybox"), ensureImage("redis")]);
  docker = await startLoadedDocker("build", []);
  registry = await startRegistry();
  [busybox, redis] = [`${registry.host}/test/busybox:1`, `${registry.host}/test/redis:1`];
  for (const [index, name] of [busybox, redis].entries()) {
    const source = `docker-archive:${archives[index]?.archive}`;
    const made = mkdtempSync(join(tmpdir(), "urunc-build-"));
    await succeed([bunnyPath, "copy", "-q", "--store", made, source, `docker://${name}`]);
    rmSync(made, { recursive: true });
  }
}, 600_000);
afterAll(async () => {
  await registry?.stop();
  await docker?.stop();
});
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "urunc-build-"));
  context = join(directory, "context");
  mkdirSync(context);
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const store = () => join(directory, "store");
const write = (name: string, content: string | Uint8Array) => {
  mkdirSync(join(context, name, ".."), { recursive: true });
  writeFileSync(join(context, name), content);
};

function run(args: readonly string[], env: Record<string, string> = {}): Promise<CommandResult> {
  return command([bunnyPath, ...args], {
    env: { PATH: process.env["PATH"] ?? "", HOME: directory, TMPDIR: tmpdir(), ...env },
  });
}

/** Runs bunny with the store, which must succeed; gives the last word of its output, which is a digest. */
async function bunny(words: readonly string[], env: Record<string, string> = {}): Promise<string> {
  const [name = "", ...rest] = words;
  const args = name === "kernel" || name === "urunit" ? [name, rest.shift() as string] : [name];
  const result = await run([...args, "--store", store(), ...rest], env);
  if (result.exitCode !== 0) throw new Error(`bunny ${words.join(" ")}: ${result.stderr}`);
  return result.stdout.trimEnd().split(/\s/).at(-1) ?? "";
}

const START = "version: v0.1\nplatforms: {framework: linux, monitor: qemu, architecture: x86}\n";
const BUILTIN = `${START}kernel: {from: builtin}\n`;

/** Builds a bunnyfile; gives the image's digest. */
function build(
  bunnyfile: string,
  flags: readonly string[] = [],
  env: Record<string, string> = {},
): Promise<string> {
  write("bunnyfile", bunnyfile);
  return bunny(["build", "-q", ...flags, context], env);
}

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
  return JSON.parse((await run(["inspect", "--store", store(), "--config", name])).stdout) as Config;
}

/** The files of an image, as Docker unpacks it. */
async function unpacked(name: string): Promise<string> {
  const archive = join(directory, "image.tar");
  await bunny(["copy", "-q", name, `docker-archive:${archive}:${name}`]);
  await docker.succeed(["load", "--input", archive]);
  const id = await docker.succeed(["create", name, "none"]);
  const place = mkdtempSync(join(directory, "unpacked-"));
  const tar = join(directory, "export.tar");
  await docker.succeed(["export", "--output", tar, id]);
  await succeed(["tar", "-xpf", tar, "-C", place, "--numeric-owner"]);
  await docker.succeed(["rm", id]);
  return place;
}

const same = (one: string, other: string) => readFileSync(one).equals(readFileSync(other));

/** What nothing but a whole image leaves. */
function expectTidy(): void {
  expect(readdirSync(store()).filter((name) => name === "ingest")).toEqual([]);
}

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
    write("hello", '#!/bin/sh\necho "$GREETING $1 $(cat /etc/sub/note) on $(uname -r)"\n');
    await succeed(["chmod", "755", join(context, "hello")]);
    write("conf.d/sub/note", "note");
    symlinkSync("note", join(context, "conf.d/sub/link"));
    await build(FILE.replace("BASE", busybox).replace("OTHER", redis), ["-t", "local/raw:1"]);
    expectTidy();
    const root = await unpacked("local/raw:1");
    expect(same(join(root, ".boot/kernel"), join(share, "vmlinux"))).toBe(true);
    expect(same(join(root, ".boot/config"), join(share, "kernel.config"))).toBe(true);
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
    const inspected = JSON.parse((await run(["inspect", "--store", store(), "local/raw:1"])).stdout);
    expect(inspected.annotations).toEqual(config.Labels);
    expect(inspected.mediaType).toBe("application/vnd.oci.image.manifest.v1+json");

    const said = await docker.succeed(["run", "--rm", "--runtime", "urunc", "local/raw:1"]);
    expect(said).toMatch(/^hello two words note on 6\.12\.\d+-urunc$/);
    await docker.succeed(["rmi", "local/raw:1"]);
  });

  test("has our init and runs it first, unless the base declines", async () => {
    await build(`${BUILTIN}rootfs: {from: "${redis}"}\n`, ["-t", "local/init:1"]);
    const root = await unpacked("local/init:1");
    expect(same(join(root, "urunit"), join(share, "urunit"))).toBe(true);
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
    write("hello", "hello");
    await build(`${BUILTIN}rootfs:\n  from: ${redis}\n  type: initrd\n${include}`, ["-t", "local/initrd:1"]);
    expectTidy();
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
    write("hello", "hello");
    const file = `${BUILTIN}rootfs:\n  from: ${redis}\n  type: block\n  size: 300M\n${include}`;
    await build(file, ["-t", "local/block:1"]);
    expectTidy();
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
        cwd: context,
      },
    );
    const file = `${BUILTIN}rootfs: {from: local, path: root.cpio, type: initrd}\ncmdline: "/urunit /app"\n`;
    await build(file, ["-t", "local/prebuilt:1"]);
    const root = await unpacked("local/prebuilt:1");
    expect(same(join(root, ".boot/rootfs"), join(context, "root.cpio"))).toBe(true);
    expect((await configOf("local/prebuilt:1")).config).toMatchObject({
      Entrypoint: ["/urunit"],
      Cmd: ["/app"],
    });
  });

  test("initrd: can be added to, compressed or not", async () => {
    write("hello", "hello");
    const make =
      "mkdir -p made/tmp && chmod 1777 made/tmp && echo x > made/x && ln made/x made/y && ln made/x made/z && ln -s / made/l";
    await succeed(["sh", "-c", `${make} && (cd made && find . | cpio -o -H newc) > root.cpio`], {
      cwd: context,
    });
    write("root.cpio.gz", gzipSync(readFileSync(join(context, "root.cpio"))));
    for (const name of ["root.cpio", "root.cpio.gz"]) {
      const file = `${BUILTIN}rootfs: {from: local, path: ${name}, type: initrd, include: [hello:/tmp/hello, hello:l/x]}\n`;
      const out = join(directory, "out.cpio");
      await build(file, ["-o", `initrd:${out}`]);
      const listed = await succeed(["cpio", "--quiet", "-tv", "-F", out]);
      expect(listed).toMatch(/^drwxrwxrwt .* tmp$/m);
      expect(listed).toMatch(/^-rw-r--r-- +2 .* y$/m);
      expect(listed).toContain("tmp/hello");
      expect(await succeed(["sh", "-c", `cpio --quiet -i --to-stdout x < ${out}`])).toBe("hello");
    }
  });

  test("block: can be added to", async () => {
    write("hello", "hello");
    write("more/sub/file", "in a directory");
    symlinkSync("file", join(context, "more/sub/link"));
    await succeed(
      ["sh", "-c", "mkdir -p made/tmp made/bin && chmod 1777 made/tmp && echo old > made/bin/hello"],
      {
        cwd: context,
      },
    );
    await succeed(["mkfs.ext4", "-q", "-d", "made", "root.img", "16M"], { cwd: context });
    const file = `${BUILTIN}rootfs:
  from: local
  path: root.img
  type: block
  include: [hello:/bin/hello, hello:/tmp/a name, more:/opt]
`;
    const [one, other] = [join(directory, "one.img"), join(directory, "other.img")];
    await build(file, ["-o", `block:${one}`]);
    await build(file, ["-o", `block:${other}`]);
    expect(same(one, other)).toBe(true);
    await succeed(["fsck.ext4", "-fn", one]);
    const debugfs = (request: string) => succeed(["debugfs", "-R", request, one]);
    expect(await debugfs("cat /bin/hello")).toBe("hello");
    expect(await debugfs('cat "/tmp/a name"')).toBe("hello");
    expect(await debugfs("cat /opt/sub/file")).toBe("in a directory");
    expect(await debugfs("stat /opt/sub/link")).toContain('Fast link dest: "file"');
    expect(await debugfs("stat /tmp")).toMatch(/Mode: +01777/);
    expect(await debugfs("stat /bin/hello")).toMatch(/Type: regular +Mode: +0644/);
    expect(statSync(join(context, "root.img")).size).toBe(statSync(one).size);
    expectTidy();
  });
});

test("the same input gives the same digest, wherever and whenever it is built", async () => {
  write("hello", "hello");
  mkdirSync(join(context, "sub"));
  const digests: string[] = [];
  for (const type of ["raw", "initrd", "block"]) {
    const file = `${BUILTIN}rootfs: {from: "${busybox}", type: ${type}, include: [hello:/hello, sub:/sub]}\n`;
    const first = await build(file);
    const copy = join(directory, "copy");
    cpSync(context, copy, { recursive: true });
    utimesSync(join(copy, "hello"), 1_000_000_000, 1_700_000_000);
    const other = await run(["build", "-q", "--store", join(directory, "other"), copy]);
    expect(other.stdout.trim()).toBe(first);
    rmSync(copy, { recursive: true });
    digests.push(first);
  }
  expect(new Set(digests).size).toBe(3);
});

test("SOURCE_DATE_EPOCH is the time that nothing is newer than", async () => {
  write("hello", "hello");
  const file = `${BUILTIN}rootfs: {from: "${busybox}", include: [hello:/hello]}\n`;
  const later = { SOURCE_DATE_EPOCH: "1700000000" };
  const digest = await build(file, ["-t", "local/dated:1"], later);
  expect(await build(file, [], later)).toBe(digest);
  expect(await build(file)).not.toBe(digest);
  expect((await configOf("local/dated:1")).created).toBe("2023-11-14T22:13:20Z");
  const root = await unpacked("local/dated:1");
  for (const name of ["hello", ".boot/kernel", "urunc.json"]) {
    expect(statSync(join(root, name)).mtimeMs).toBe(1_700_000_000_000);
  }
  write("bunnyfile", file);
  const { stderr } = await run(["build", "--store", store(), context], { SOURCE_DATE_EPOCH: "now" });
  expect(stderr).toContain("SOURCE_DATE_EPOCH is a number of seconds");
});

describe("what we publish", () => {
  test("our kernel is one for a bunnyfile, also by its digest", async () => {
    const name = `${registry.host}/guest/kernel:6.12`;
    const digest = await bunny(["kernel", "push", "-q", name]);
    const about = JSON.parse((await run(["inspect", `docker://${name}`])).stdout);
    expect(about.platform).toBe("linux/amd64");
    expect(about.process.labels["org.opencontainers.image.version"]).toMatch(/^6\.12\./);
    for (const reference of [name, `${registry.host}/guest/kernel@${digest}`]) {
      rmSync(store(), { recursive: true });
      await build(`${START}kernel: {from: "${reference}", path: /kernel}\n`, ["-t", "local/app:1"]);
      const root = await unpacked("local/app:1");
      expect(same(join(root, ".boot/kernel"), join(share, "vmlinux"))).toBe(true);
      expect(same(join(root, ".boot/config"), join(share, "kernel.config"))).toBe(true);
    }
  });

  test("our init is one for a Containerfile", async () => {
    const archive = join(directory, "urunit.tar");
    await bunny(["urunit", "image", "-q", "-o", `docker-archive:${archive}:local/urunit:1`]);
    await docker.succeed(["load", "--input", archive]);
    write(
      "Dockerfile",
      'FROM local/urunit:1 AS init\nFROM scratch\nCOPY --from=init /urunit /urunit\nCMD ["/urunit"]\n',
    );
    await docker.succeed(["build", "-q", "-t", "local/with-init", context]);
    const id = await docker.succeed(["create", "local/with-init"]);
    await docker.succeed(["cp", `${id}:/urunit`, join(directory, "urunit")]);
    expect(same(join(directory, "urunit"), join(share, "urunit"))).toBe(true);
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
    write("kernels/amd64", readFileSync(join(share, "vmlinux")));
    write("kernels/arm64", armKernel());
    write("app/arm64/app", "for arm64");
    write("app/amd64/app", "for amd64");
    const file = `version: v0.1
platforms: {framework: linux, monitor: qemu, architecture: [amd64, aarch64]}
kernel: {from: local, path: "kernels/{architecture}"}
rootfs: {include: ["app/{architecture}:/app"]}
urunit: false
`;
    const name = `${registry.host}/test/both:1`;
    const digest = await build(file, ["-t", name, "--push"]);
    const index = JSON.parse((await run(["inspect", "--store", store(), name])).stdout);
    expect(index.manifests.map((one: { platform: string }) => one.platform)).toEqual([
      "linux/amd64",
      "linux/arm64",
    ]);
    const pushed = JSON.parse((await run(["inspect", `docker://${name}`])).stdout);
    expect(pushed.digest).toBe(digest);
    const place = join(directory, "root");
    await build(file, ["-o", `rootfs:${place}`, "--platform", "linux/arm64"]);
    expect(readFileSync(join(place, "app/app"), "utf8")).toBe("for arm64");
    write("bunnyfile", file);
    const refused = await run(["build", "--store", store(), "--platform", "linux/riscv64", context]);
    expect(refused.stderr).toContain(
      "images are built for linux/amd64 and linux/arm64, not for linux/riscv64",
    );
  });

  test("an image or a kernel for another is refused", async () => {
    write("kernel", armKernel());
    const file = `${START}kernel: {from: local, path: kernel}\n`;
    await expect(build(file)).rejects.toThrow(
      "bunnyfile:3:29: kernel is no kernel for this image: it is for arm64, and the image for amd64",
    );
    const arm = START.replace("x86", "arm64");
    await expect(
      build(`${arm}kernel: {from: local, path: kernel}\nrootfs: {from: "${busybox}"}\nurunit: false\n`),
    ).rejects.toThrow("is an image for linux/amd64 and not for linux/arm64");
  });
});

test("outputs: archives, layouts, Docker, a registry and files", async () => {
  write("hello", "hello");
  const file = `${BUILTIN}rootfs: {from: "${busybox}", type: block, include: [hello:/hello]}\n`;
  const at = (name: string) => join(directory, name);
  const registered = `${registry.host}/test/out:1`;
  const flags = [
    "-t",
    registered,
    "--push",
    ...["oci", "oci-archive", "docker-archive"].flatMap((kind) => ["-o", `${kind}:${at(kind)}`]),
  ];
  for (const kind of ["rootfs", "initrd", "block", "kernel"]) flags.push("-o", `${kind}:${at(kind)}`);
  const digest = await build(file, [...flags, "--load"], { DOCKER_HOST: `unix://${docker.socket}` });
  for (const place of [`oci:${at("oci")}`, `oci-archive:${at("oci-archive")}`, `docker://${registered}`]) {
    expect(JSON.parse((await run(["inspect", place])).stdout).digest).toBe(digest);
  }
  expect(await succeed(["tar", "-xOf", at("docker-archive"), "manifest.json"])).toContain(registered);
  expect(await docker.succeed(["image", "ls", "--format", "{{.Repository}}"])).toContain(
    `${registry.host}/test/out`,
  );
  expect(readFileSync(at("rootfs/hello"), "utf8")).toBe("hello");
  expect(existsSync(at("rootfs/urunit"))).toBe(true);
  expect(existsSync(at("rootfs/.boot"))).toBe(false);
  await succeed(["fsck.ext4", "-fn", at("block")]);
  expect(await succeed(["cpio", "--quiet", "-t", "-F", at("initrd")])).toContain("\nhello\n");
  expect(same(at("kernel"), join(share, "vmlinux"))).toBe(true);
});

describe("what cannot be built is said with its place, and leaves nothing", () => {
  test.each<[string, string, string]>([
    [
      "a kernel that is missing",
      `${START}kernel: {from: local, path: none}\n`,
      "3:29: there is no none in the build's context",
    ],
    [
      "a kernel that is a directory",
      `${START}kernel: {from: local, path: sub}\n`,
      "3:29: sub is a directory",
    ],
    [
      "a text as a kernel",
      `${START}kernel: {from: local, path: text}\n`,
      "3:29: text is no kernel for this image: it is neither",
    ],
    [
      "a program as a kernel",
      `${START}kernel: {from: local, path: program}\n`,
      "3:29: program is no kernel for this image: it is an ELF file, but a program",
    ],
    [
      "a compressed kernel",
      `${START}kernel: {from: local, path: kernel.gz}\n`,
      "3:29: kernel.gz is no kernel for this image: it is compressed with gzip",
    ],
    [
      "a link out of the context",
      `${START}kernel: {from: local, path: outside}\n`,
      "3:29: outside is a link that leads out of the build's context",
    ],
    ["a kernel's image that is missing", `${START}kernel: {from: REGISTRY/none, path: /k}\n`, "3:16: "],
    [
      "a path that the kernel's image lacks",
      `${START}kernel: {from: BUSYBOX, path: /k}\n`,
      "there is no /k in",
    ],
    [
      "a configuration that is missing",
      `${START}kernel: {from: local, path: vmlinux, config: none}\n`,
      "3:46: there is no none",
    ],
    ["a base that is missing", `${BUILTIN}rootfs: {from: REGISTRY/none}\n`, "4:16: "],
    ["an include that is missing", `${BUILTIN}rootfs: {include: [none:/x]}\n`, "4:20: there is no none"],
    [
      "an include's path that is missing",
      `${BUILTIN}rootfs: {include: [{from: BUSYBOX, source: /none, destination: /x}]}\n`,
      "there is no /none in",
    ],
    [
      "a file in a directory's place",
      `${BUILTIN}rootfs: {from: BUSYBOX, include: [sub:/bin/sh/x]}\n`,
      "what is on its way is no directory",
    ],
    [
      "a directory in a file's place",
      `${BUILTIN}rootfs: {from: BUSYBOX, include: [more:/etc]}\n`,
      '"/etc/passwd" is a file of the image, and a directory is to be put there',
    ],
    [
      "an initrd that is none",
      `${BUILTIN}rootfs: {from: local, path: text, type: initrd}\n`,
      "4:29: text is no initrd",
    ],
    [
      "a block image that is none",
      `${BUILTIN}rootfs: {from: local, path: text, type: block}\n`,
      "4:29: text is no block image",
    ],
    [
      "includes in what is no ext4",
      `${BUILTIN}rootfs: {from: local, path: zeros, type: block, include: [text]}\n`,
      "4:29: zeros is no ext2, ext3 or ext4",
    ],
    [
      "includes in a broken initrd",
      `${BUILTIN}rootfs: {from: local, path: cut.cpio, type: initrd, include: [text]}\n`,
      "4:29: cut.cpio cannot be added to: the initrd cannot be read: it is cut off",
    ],
    [
      "a block image that is too small",
      `${BUILTIN}rootfs: {from: BUSYBOX, type: block, size: 1M}\n`,
      "too small: these files need",
    ],
    [
      "a key that is unknown",
      `${BUILTIN}rootfs: {form: scratch}\n`,
      '4:10: the key "form" is not known: is from meant?',
    ],
  ])("%s", async (_, file, sentence) => {
    write("sub/x", "");
    write("more/passwd/x", "");
    write("text", "this is a text\n");
    write("zeros", new Uint8Array(4096));
    write("program", readFileSync(join(share, "urunit")));
    write("kernel.gz", gzipSync("x"));
    write("cut.cpio", "070701");
    symlinkSync(join(share, "vmlinux"), join(context, "outside"));
    cpSync(join(share, "vmlinux"), join(context, "vmlinux"));
    write(
      "bunnyfile",
      file.replace("BUSYBOX", `"${busybox}"`).replace("REGISTRY/none", `"${registry.host}/none"`),
    );
    const { exitCode, stdout, stderr } = await run([
      "build",
      "--store",
      store(),
      "-q",
      "-t",
      "local/bad:1",
      context,
    ]);
    expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: "" });
    expect(stderr.trimEnd().split("\n").length).toBe(1);
    expect(stderr).toStartWith(`${context}/bunnyfile:`);
    expect(stderr).toContain(sentence);
    expect((await run(["images", "--store", store()])).stdout).not.toContain("bad");
    expectTidy();
  });

  test.each<[string, readonly string[], string]>([
    [
      "no build file",
      ["context"],
      "has no bunnyfile, Containerfile, Dockerfile: name the build file with --file",
    ],
    ["a build file that is missing", ["-f", "none", "context"], "cannot read the build file none: ENOENT"],
    ["a context that is missing", ["none"], "cannot read the build's context none: ENOENT"],
    ["a push without a name", ["--push", "context"], "--push and --load need a name"],
    ["an unknown output", ["-o", "zip:x", "context"], "--output is oci:DIRECTORY"],
    ["an output without a file", ["-o", "block:", "context"], "names no file"],
    [
      "a name with a digest",
      ["-t", `a@sha256:${"0".repeat(64)}`, "context"],
      "a name that is given has no digest",
    ],
  ])("%s", async (_, words, sentence) => {
    const { exitCode, stderr } = await run([
      "build",
      "--store",
      store(),
      ...words.map((word) => (word === "context" ? context : word)),
    ]);
    expect(exitCode).toBe(1);
    expect(stderr).toContain(sentence);
    expect(stderr.trimEnd().split("\n").length).toBe(1);
  });

  test("a full disk", async () => {
    write(
      "large",
      Buffer.from(crypto.getRandomValues(new Uint8Array(65_536)))
        .toString("hex")
        .repeat(10),
    );
    const small = join(directory, "small");
    mkdirSync(small);
    await succeed(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", small]);
    try {
      write("bunnyfile", `${BUILTIN}rootfs: {include: [large]}\n`);
      const { exitCode, stderr } = await run(["build", "--store", join(small, "store"), "-q", context]);
      expect(exitCode).toBe(1);
      expect(stderr).toContain("no space is left where");
      expect(readdirSync(join(small, "store")).sort()).toEqual(["blobs", "oci-layout"]);
    } finally {
      await succeed(["umount", small]);
    }
  });
});

describe("a build that is ended", () => {
  const file = () => `${BUILTIN}rootfs: {from: "${redis}", type: block}\n`;
  const started = () =>
    Bun.spawn([bunnyPath, "build", "--store", store(), "-t", "local/ended:1", context], {
      env: { PATH: process.env["PATH"] ?? "", HOME: directory },
      stdout: "ignore",
      stderr: "pipe",
    });
  /** Something is on its way. */
  const isAtWork = () =>
    existsSync(join(store(), "ingest")) && readdirSync(join(store(), "ingest")).length > 0;

  test.each(["SIGINT", "SIGKILL"] as const)(
    "by %s leaves a store that is whole, and the next one builds",
    async (signal) => {
      write("bunnyfile", file());
      const building = started();
      await until("a file is written", isAtWork, 60_000, 1);
      building.kill(signal);
      const status = await building.exited;
      if (signal === "SIGINT") {
        expect(status).toBe(130);
        expect((await new Response(building.stderr).text()).trimEnd().split("\n").at(-1)).toBe("interrupted");
        expectTidy();
      }
      expect((await run(["images", "--store", store()])).stdout).not.toContain("ended");
      const digest = await build(file(), ["-t", "local/ended:1"]);
      await bunny(["prune"]);
      expectTidy();
      expect(JSON.parse((await run(["inspect", "--store", store(), "local/ended:1"])).stdout).digest).toBe(
        digest,
      );
      const other = await run(["build", "-q", "--store", join(directory, "other"), context]);
      expect(other.stdout.trim()).toBe(digest);
    },
  );
});
