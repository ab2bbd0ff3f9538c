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
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fromBinary } from "@bufbuild/protobuf";
import { DefinitionSchema, OpSchema } from "../../src/frontend/protocol/llb_pb.ts";
import { exportImage } from "../harness/bootable.ts";
import { type CommandResult, command } from "../harness/command.ts";
import type { Docker } from "../harness/docker.ts";
import { ensureImage } from "../harness/images.ts";
import { startLoadedDocker } from "../harness/loaded-docker.ts";
import { type Registry, startRegistry } from "../harness/registry.ts";

setDefaultTimeout(180_000);

/** BuildKit is Docker's own; it has the frontend, and all images, from a registry on loopback beside it. */
const bunnyPath = join(resolve(import.meta.dir, "../.."), "dist/bin/bunny");
let docker: Docker;
let registry: Registry;
/** In the registry. */
let frontend: string;
let busybox: string;
let redis: string;
let home: string;
let context: string;

/** Runs bunny where the registry is. */
function bunny(args: readonly string[], env: Record<string, string> = {}): Promise<CommandResult> {
  return command(docker.inNetwork([bunnyPath, ...args]), {
    env: { PATH: process.env["PATH"] ?? "", HOME: home, TMPDIR: tmpdir(), ...env },
  });
}

async function succeed(args: readonly string[], env: Record<string, string> = {}): Promise<string> {
  const { exitCode, stdout, stderr } = await bunny(args, env);
  if (exitCode !== 0) throw new Error(`bunny ${args.join(" ")}: ${exitCode}\n${stdout}${stderr}`);
  return stdout.trimEnd();
}

beforeAll(async () => {
  const archives = await Promise.all([ensureImage("busybox"), ensureImage("redis")]);
  docker = await startLoadedDocker("frontend", []);
  registry = await startRegistry({ within: docker.inNetwork });
  home = mkdtempSync(join(tmpdir(), "urunc-frontend-"));
  [busybox, redis] = [`${registry.host}/busybox:1`, `${registry.host}/redis:1`];
  for (const [index, name] of [busybox, redis].entries()) {
    await succeed(["copy", "-q", `docker-archive:${archives[index]?.archive}`, `docker://${name}`]);
  }
  frontend = `${registry.host}/bunny:1`;
  await succeed(["frontend", "push", "-q", frontend]);
}, 600_000);
afterAll(async () => {
  await registry?.stop();
  await docker?.stop();
  if (home !== undefined) rmSync(home, { recursive: true, force: true });
});
beforeEach(() => {
  context = mkdtempSync(join(home, "context-"));
});
afterEach(() => rmSync(context, { recursive: true, force: true }));

const write = (name: string, content: string | Uint8Array) => {
  mkdirSync(join(context, name, ".."), { recursive: true });
  writeFileSync(join(context, name), content);
};

/** Writes a build file that begins as users write it. */
const writeFile = (name: string, text: string) => write(name, `#syntax=${frontend}\n${text}`);

/** Runs `docker build` with BuildKit; what it shows is on standard error. */
function build(name: string, flags: readonly string[] = [], file = "bunnyfile"): Promise<CommandResult> {
  const words = [
    "build",
    "--progress=plain",
    "--tag",
    name,
    "--file",
    join(context, file),
    ...flags,
    context,
  ];
  return docker.run(words, { env: { ...process.env, DOCKER_BUILDKIT: "1" } as Record<string, string> });
}

async function buildWell(name: string, flags: readonly string[] = [], file = "bunnyfile"): Promise<string> {
  const { exitCode, stderr } = await build(name, flags, file);
  if (exitCode !== 0) throw new Error(`docker build: ${exitCode}\n${stderr}`);
  return stderr;
}

/** Builds the same by `bunny build`, and loads it into Docker. */
async function buildByBunny(name: string): Promise<void> {
  const archive = join(home, "built.tar");
  const output = ["-o", `docker-archive:${archive}`];
  await succeed(["build", "-q", "-f", join(context, "bunnyfile"), "-t", name, ...output, context]);
  await docker.succeed(["load", "--input", archive]);
  rmSync(archive);
}

interface Config {
  Entrypoint: string[] | null;
  Cmd: string[] | null;
  Env: string[] | null;
  User: string;
  WorkingDir: string;
  Labels: Record<string, string> | null;
}

async function configOf(name: string): Promise<Config> {
  const text = await docker.succeed(["image", "inspect", "--format", "{{json .Config}}", name]);
  const { Entrypoint, Cmd, Env, User, WorkingDir, Labels } = JSON.parse(text) as Config;
  return { Entrypoint, Cmd, Env, User, WorkingDir, Labels };
}

async function unpack(name: string): Promise<string> {
  const place = mkdtempSync(join(context, "..", "unpacked-"));
  await exportImage(docker, name, place);
  return place;
}

/** What is at each path: kind, mode and owner, and what it has. */
function filesOf(root: string): Record<string, string> {
  const found: Record<string, string> = {};
  const rest = [""];
  for (let path = rest.pop(); path !== undefined; path = rest.pop()) {
    const full = join(root, path);
    const status = lstatSync(full);
    let content = "";
    if (status.isDirectory()) rest.push(...readdirSync(full).map((name) => `${path}/${name}`));
    else if (status.isSymbolicLink()) content = readlinkSync(full);
    else if (status.isFile()) content = Bun.hash(readFileSync(full)).toString();
    found[path] = `${status.mode.toString(8)} ${status.uid}:${status.gid} ${content}`;
  }
  return found;
}

const START = "version: v0.1\nplatforms: {framework: linux, monitor: qemu, architecture: x86}\n";
const BUILTIN = `${START}kernel: {from: builtin}\n`;
const bunnyfile = (rootfs: string, more = "") => `${BUILTIN}rootfs: ${rootfs}\n${more}`;

describe("docker build of a bunnyfile makes the image that bunny build makes", () => {
  /** Builds in both ways; gives the unpacked image. */
  async function expectSame(name: string): Promise<string> {
    await buildWell(name);
    await buildByBunny(`${name}-by-bunny`);
    expect(await configOf(name)).toEqual(await configOf(`${name}-by-bunny`));
    const [one, other] = [await unpack(name), await unpack(`${name}-by-bunny`)];
    expect(filesOf(one)).toEqual(filesOf(other));
    return one;
  }

  test("of the base's own files and what is included", async () => {
    write("hello", "hello\n");
    write("site/index.html", "<p>\n");
    write("site/deep/er", "x");
    const include = `["hello:/etc/hello", "hello:/srv/", "site:/srv/www", {from: "${redis}", source: /usr/bin/redis-cli, destination: /bin/}]`;
    writeFile(
      "bunnyfile",
      bunnyfile(
        `{from: "${busybox}", include: ${include}}`,
        'cmd: [cat, /etc/hello]\nenvs: ["A=b c"]\nannotations: {"test.note": x}\n',
      ),
    );
    const root = await expectSame("raw");
    expect(readFileSync(join(root, "srv/hello"), "utf8")).toBe("hello\n");
    expect(readFileSync(join(root, "srv/www/deep/er"), "utf8")).toBe("x");
    expect((await configOf("raw")).Labels).toMatchObject({
      "com.urunc.unikernel.mountRootfs": "true",
      "test.note": "x",
    });
  });

  test("with an initrd of the base, and its user in numbers, as an image without files has no names", async () => {
    write("hello", "hello\n");
    writeFile("bunnyfile", bunnyfile(`{from: "${redis}", type: initrd, include: ["hello:/etc/hello"]}`));
    await expectSame("initrd");
    expect((await configOf("initrd")).User).toBe("999:999");
  });

  test("with a block image of the base, of the size that is asked for", async () => {
    writeFile("bunnyfile", bunnyfile(`{from: "${busybox}", type: block, size: 20M}`));
    const root = await expectSame("block");
    expect(lstatSync(join(root, ".boot/rootfs")).size).toBe(20 << 20);
  });

  test("with an initrd that is there, and more in it", async () => {
    write("hello", "hello\n");
    await succeed(["kernel", "push", "-q", `${registry.host}/kernel:1`]);
    writeFile("first", bunnyfile(`{from: "${busybox}", type: initrd}`));
    const made = join(context, "made.cpio");
    await succeed(["build", "-q", "-f", join(context, "first"), "-o", `initrd:${made}`, context]);
    writeFile(
      "bunnyfile",
      `${START}kernel: {from: "${registry.host}/kernel:1", path: /kernel}\n` +
        "rootfs: {from: local, path: made.cpio, type: initrd, include: ['hello:/etc/hello']}\n",
    );
    const root = await expectSame("prebuilt");
    expect(readdirSync(join(root, ".boot")).sort()).toEqual(["config", "kernel", "rootfs"]);
  });

  test("that boots as a machine", async () => {
    write("hello", "hello from an initrd\n");
    writeFile(
      "bunnyfile",
      bunnyfile(
        `{from: "${busybox}", type: initrd, include: ["hello:/etc/hello"]}`,
        "cmd: [cat, /etc/hello]\n",
      ),
    );
    await buildWell("boots");
    const { stdout, exitCode } = await docker.run(["run", "--rm", "--runtime", "urunc", "boots"]);
    expect([exitCode, stdout]).toEqual([0, "hello from an initrd\n"]);
  });
});

describe("docker build of a Containerfile", () => {
  test("puts a kernel and our init on what BuildKit's own frontend builds, and boots as a machine", async () => {
    write("greeting", "hello");
    write("secret", "x");
    write(".dockerignore", "secret\n");
    writeFile(
      "Containerfile",
      `ARG BASE=${busybox}\nFROM $BASE AS first\nARG WHO=nobody\nCOPY . /context\n` +
        'RUN echo "$(cat /context/greeting) $WHO" > /etc/hello\n' +
        'FROM first AS second\nENTRYPOINT ["cat"]\nCMD ["/etc/hello"]\nFROM second\nCMD ["/none"]\n',
    );
    const flags = ["--build-arg", "WHO=world", "--target", "second", "--label", "extra=1"];
    await buildWell("containerfile", flags, "Containerfile");
    expect(await configOf("containerfile")).toMatchObject({
      Entrypoint: ["/urunit", "cat"],
      Cmd: ["/etc/hello"],
      Labels: {
        extra: "1",
        "com.urunc.unikernel.binary": "/.boot/kernel",
        "com.urunc.unikernel.hypervisor": "qemu",
        "com.urunc.unikernel.mountRootfs": "true",
        "com.urunc.unikernel.unikernelType": "linux",
      },
    });
    const root = await unpack("containerfile");
    expect(readdirSync(join(root, "context")).sort()).toEqual([".dockerignore", "Containerfile", "greeting"]);
    const said = JSON.parse(readFileSync(join(root, "urunc.json"), "utf8")) as Record<string, string>;
    expect(atob(said["com.urunc.unikernel.binary"] ?? "")).toBe("/.boot/kernel");
    const { stdout, exitCode } = await docker.run(["run", "--rm", "--runtime", "urunc", "containerfile"]);
    expect([exitCode, stdout]).toEqual([0, "hello world\n"]);
  });

  test("leaves a kernel that it brings, and goes without our init where a label says so", async () => {
    write("k", "a kernel");
    writeFile(
      "Containerfile",
      `FROM ${busybox}\nCOPY k /k\nLABEL com.urunc.unikernel.binary=/k bunny.urunit=false\n` +
        'LABEL com.urunc.unikernel.unikernelType=unikraft\nCMD ["x"]\n',
    );
    await buildWell("own-kernel", [], "Containerfile");
    const root = await unpack("own-kernel");
    expect(readdirSync(root)).not.toContain(".boot");
    expect(readdirSync(root)).not.toContain("urunit");
    expect((await configOf("own-kernel")).Labels).toMatchObject({
      "com.urunc.unikernel.binary": "/k",
      "com.urunc.unikernel.unikernelType": "unikraft",
    });
  });

  test("that is wrong fails with what BuildKit's own frontend says of its line", async () => {
    writeFile("Containerfile", `FROM ${busybox}\nNONSENSE\n`);
    const { exitCode, stderr } = await build("none", [], "Containerfile");
    expect(exitCode).not.toBe(0);
    expect(stderr).toMatch(/unknown instruction: NONSENSE/i);
  });
});

describe("a build that fails says why, at its place in the build file", () => {
  const cases: [what: string, rootfs: string, sentence: RegExp, flags?: string[]][] = [
    ["an unknown key", "{form: scratch}", /bunnyfile:5:10: the key "form" is not known: is from meant\?/],
    [
      "a file that is missing",
      '{include: ["none"]}',
      /bunnyfile:5:20: there is no none in the build's context/,
    ],
    [
      "an image that is missing",
      '{from: "HOST/none:1"}',
      /bunnyfile:5:\d+: the image HOST\/none:1 cannot be had/,
    ],
    [
      "a file that an image lacks",
      '{include: [{from: "HOST/busybox:1", source: /none, destination: /x}]}',
      /bunnyfile:5:\d+: there is no \/none in HOST\/busybox:1/,
    ],
    [
      "a block image that is too small, which is seen while it is made",
      '{from: "HOST/busybox:1", type: block, size: 1M}',
      /bunnyfile:5:\d+: .*too small/,
    ],
    [
      "a stage, which it does not have",
      '{from: "HOST/busybox:1"}',
      /--target are for Containerfiles/,
      ["--target", "x"],
    ],
  ];
  test.each(cases)("%s", async (_, rootfs, sentence, flags = []) => {
    writeFile("bunnyfile", bunnyfile(rootfs.replaceAll("HOST", registry.host)));
    const { exitCode, stderr } = await build("none", flags);
    expect(exitCode).not.toBe(0);
    expect(stderr.replaceAll(registry.host, "HOST")).toMatch(sentence);
  });

  test("a kernel that is none", async () => {
    write("k", "no kernel");
    writeFile("bunnyfile", `${START}kernel: {from: local, path: k}\nrootfs: {from: "${busybox}"}\n`);
    const { exitCode, stderr } = await build("none");
    expect(exitCode).not.toBe(0);
    expect(stderr).toMatch(/bunnyfile:4:29: k is no kernel for this image/);
  });
});

test("steps have names that a person understands, are known the second time, and done again where that is asked for", async () => {
  write("hello", "hello\n");
  writeFile("bunnyfile", bunnyfile(`{from: "${busybox}", type: initrd, include: ["hello:/etc/again"]}`));
  const stepsOf = (output: string) => {
    const lines = [...output.matchAll(/^#(\d+) (\[(?:base|initrd|kernel|boot|context)\] .*)$/gm)];
    return lines.map(([, number, name]) => ({
      name: name?.replaceAll(registry.host, "HOST"),
      known: new RegExp(`^#${number} CACHED$`, "m").test(output),
    }));
  };
  const first = stepsOf(await buildWell("again"));
  const names = first.map(({ name }) => name);
  expect(names).toContain("[initrd] make /.boot/rootfs of HOST/busybox:1");
  expect(names).toContain("[kernel] ours at /.boot/kernel");
  expect(names).toContain("[boot] our init and /urunc.json");
  const making = (steps: ReturnType<typeof stepsOf>) =>
    steps.find(({ name }) => name?.startsWith("[initrd] make"))?.known;
  expect(making(first)).toBe(false);
  expect(making(stepsOf(await buildWell("again")))).toBe(true);
  expect(making(stepsOf(await buildWell("again", ["--no-cache"])))).toBe(false);
});

test("the frontend's image has no other program, and is small for what it holds", async () => {
  await docker.succeed(["pull", "--quiet", frontend]);
  const root = await unpack(frontend);
  expect(readdirSync(join(root, "usr/bin"))).toEqual(["bunny"]);
  expect(readdirSync(join(root, "usr/share/urunc")).sort()).toEqual(["kernel.config", "urunit", "vmlinux"]);
  // It runs with what it has: in a container without anything of the host.
  const text = await docker.succeed(["run", "--rm", "--entrypoint", "/usr/bin/bunny", frontend, "--version"]);
  expect(text).toStartWith("bunny version");
});

test("bunny --LLB prints the definition that BuildKit is given", async () => {
  write("bunnyfile", bunnyfile(`{from: "${busybox}", type: block}`));
  const child = Bun.spawn([bunnyPath, "--LLB", "--frontend", frontend, context], {
    stdout: "pipe",
    env: { HOME: home },
  });
  const { def, metadata } = fromBinary(
    DefinitionSchema,
    new Uint8Array(await new Response(child.stdout).arrayBuffer()),
  );
  expect(await child.exited).toBe(0);
  const kinds = def.map((bytes) => fromBinary(OpSchema, bytes).op.case);
  expect(kinds.filter((kind) => kind === "exec")).toHaveLength(1);
  expect(kinds.at(-1)).toBeUndefined();
  const names = Object.values(metadata).map(({ description }) => description["llb.customname"]);
  expect(names).toContain(`[block] make /.boot/rootfs of ${busybox}`);

  const without = await bunny(["--LLB", context]);
  expect([without.exitCode, without.stderr]).toEqual([
    1,
    'bunny --LLB: say with --frontend which image has our kernel and init: see "bunny --LLB --help"\n',
  ]);
});
