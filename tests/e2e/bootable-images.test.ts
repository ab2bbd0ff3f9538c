import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { buildBootable, exportImage } from "../harness/bootable.ts";
import { succeed, until } from "../harness/command.ts";
import type { Docker } from "../harness/docker.ts";
import { expectNothingLeft } from "../harness/leaks.ts";
import { imageReference, startLoadedDocker } from "../harness/loaded-docker.ts";

/** Images that bring a kernel, an init or a root of their own, under `docker run`. */

setDefaultTimeout(120_000);

const SHARE = resolve(import.meta.dir, "../../dist/share/urunc");
const KERNEL = { "/.boot/kernel": join(SHARE, "vmlinux"), "/urunit": join(SHARE, "urunit") };

let docker: Docker;
let files: string;

beforeAll(async () => {
  docker = await startLoadedDocker("bootable", ["busybox"]);
  files = join(docker.layout.directory, "files");
  const root = join(files, "root");
  await exportImage(docker, imageReference("busybox"), root);
  writeFileSync(join(root, "mark"), "of the root image\n");
  const block = join(files, "rootfs.ext2");
  await succeed(["mkfs.ext2", "-q", "-d", root, block, "24M"]);
  const initrd = join(files, "rootfs.initrd");
  await succeed(["sh", "-c", `cd ${root} && find . | cpio --quiet -H newc -o > ${initrd}`]);
  // Another build than ours, for who compares the two.
  const kernel = readFileSync(join(SHARE, "vmlinux"));
  writeFileSync(join(files, "kernel"), Buffer.concat([kernel, Buffer.alloc(16)]));
  const linux = { unikernelType: "linux", hypervisor: "qemu", binary: "/.boot/kernel" };

  await buildBootable(docker, files, {
    name: "raw",
    base: imageReference("busybox"),
    files: KERNEL,
    annotations: { ...linux, mountRootfs: "true", cmdline: "/urunit /bin/sh" },
    command: ["/urunit", "/bin/sh", "-c", "'echo", "joined;", "uname", "-r'"],
  });
  await buildBootable(docker, files, {
    name: "block",
    files: { ...KERNEL, "/.boot/rootfs": block },
    annotations: { ...linux, hypervisor: "firecracker", block: "/.boot/rootfs", blkMntPoint: "/" },
    command: ["/urunit", "/bin/cat", "/mark"],
  });
  await buildBootable(docker, files, {
    name: "initrd",
    files: { ...KERNEL, "/.boot/rootfs": initrd },
    annotations: { ...linux, initrd: "/.boot/rootfs" },
    command: ["/urunit", "/bin/cat", "/mark"],
    plain: true,
  });
  await buildBootable(docker, files, {
    name: "known",
    base: imageReference("busybox"),
    files: { "/boot/kernel": join(files, "kernel"), "/boot/config": join(SHARE, "kernel.config") },
    annotations: { ...linux, binary: "/boot/kernel" },
    command: ["/bin/uname", "-r"],
  });
  await buildBootable(docker, files, {
    name: "volume",
    base: imageReference("busybox"),
    files: { "/disk.ext2": block },
    annotations: { block: "/disk.ext2", blkMntPoint: "/data" },
    command: ["/bin/cat", "/data/mark"],
  });
}, 600_000);

afterAll(async () => {
  if (docker === undefined) return;
  await docker.stop();
  await expectNothingLeft([docker.layout.directory, docker.cgroup]);
}, 120_000);

/** `docker run --rm --runtime urunc ARGS`, which must succeed; gives standard output. */
function output(args: readonly string[]): Promise<string> {
  return docker.succeed(["run", "--rm", "--runtime", "urunc", ...args]);
}

async function refused(args: readonly string[]): Promise<string> {
  const call = await docker.run(["run", "--rm", "--runtime", "urunc", ...args]);
  expect(call.exitCode).not.toBe(0);
  return call.stderr;
}

/** What Docker gives to a container beside its image. */
const GIVEN =
  "cat /etc/hosts | grep -c given; grep -c nameserver /etc/resolv.conf; hostname; cat /v/file; ls -A /v";

async function expectGiven(image: string): Promise<void> {
  const volume = join(files, `volume-${image}`);
  mkdirSync(volume);
  writeFileSync(join(volume, "file"), "of the host\n");
  const out = await output([
    ...[
      "--volume",
      `${volume}:/v`,
      "--hostname",
      "named",
      "--add-host",
      "given:10.1.2.3",
      "--dns",
      "10.9.9.9",
    ],
    ...[image, "/urunit", "/bin/sh", "-c", `${GIVEN}; echo back > /v/back`],
  ]);
  expect(out).toBe("1\n1\nnamed\nof the host\nfile");
  expect(readFileSync(join(volume, "back"), "utf8")).toBe("back\n");
}

describe("a raw image", () => {
  test("runs the application of its command, words between quotes joined", async () => {
    expect(await output(["raw"])).toMatch(/^joined\n6\.12.*-urunc$/);
  });

  test("has what Docker gives", () => expectGiven("raw"));
});

describe("a block image", () => {
  test("is the root", async () => {
    expect(await output(["block"])).toBe("of the root image");
  });

  test("has what Docker gives", () => expectGiven("block"));

  test("keeps what is written over a restart of its container, which is a copy of its own", async () => {
    const script = "cat /mark; echo written >> /mark";
    const id = await docker.succeed([
      "create",
      "--runtime",
      "urunc",
      "block",
      "/urunit",
      "/bin/sh",
      "-c",
      script,
    ]);
    expect(await docker.succeed(["start", "--attach", id])).toBe("of the root image");
    expect(await docker.succeed(["start", "--attach", id])).toBe("of the root image\nwritten");
    await docker.succeed(["rm", id]);
    expect(await output(["block"])).toBe("of the root image");
  });

  test("with a read-only root is not written to", async () => {
    const call = await docker.run([
      ...["run", "--rm", "--runtime", "urunc", "--read-only", "block"],
      ...["/urunit", "/bin/sh", "-c", "cat /mark; touch /new"],
    ]);
    expect(call.stdout).toBe("of the root image\n");
    expect(call.stderr).toContain("Read-only file system");
  });

  test("is a clean file system afterwards", async () => {
    const id = await docker.succeed([
      ...["create", "--runtime", "urunc", "block", "/urunit", "/bin/sh", "-c", "echo x > /x"],
    ]);
    await docker.succeed(["start", "--attach", id]);
    const copy = join(files, "afterwards.ext2");
    await docker.succeed(["cp", `${id}:/.boot/rootfs`, copy]);
    await docker.succeed(["rm", id]);
    await succeed(["fsck.ext2", "-fn", copy]);
    expect(await succeed(["debugfs", "-R", "cat /x", copy])).toBe("x\n");
  });

  test("can be served, and asked by exec", async () => {
    const id = await docker.succeed([
      "run",
      "--detach",
      "--runtime",
      "urunc",
      "block",
      "/urunit",
      "/bin/sleep",
      "1000",
    ]);
    expect(await docker.succeed(["exec", id, "cat", "/mark"])).toBe("of the root image");
    await docker.succeed(["rm", "--force", id]);
  });
});

describe("an initrd", () => {
  test("is the root, in memory", async () => {
    expect(await output(["initrd"])).toBe("of the root image");
    expect(await output(["initrd", "/urunit", "/bin/sh", "-c", "stat -f -c %T /; echo x > /x; cat /x"])).toBe(
      "tmpfs\nx",
    );
  });

  test("has what Docker gives", () => expectGiven("initrd"));

  test("that does not fit into the memory is a sentence", async () => {
    const large = join(files, "large.initrd");
    await succeed([
      "sh",
      "-c",
      `mkdir ${files}/large && truncate -s 100M ${files}/large/zeros && cd ${files}/large && ` +
        `find . | cpio --quiet -H newc -o > ${large}`,
    ]);
    await buildBootable(docker, files, {
      name: "large",
      files: { "/initrd": large },
      annotations: { initrd: "/initrd" },
      command: ["/x"],
    });
    expect(await refused(["--memory", "128m", "large"])).toContain("give the container more");
  });
});

test("a kernel of another build with the configuration that it needs is booted with the agent", async () => {
  expect(await output(["known"])).toMatch(/^6\.12.*-urunc$/);
});

test("a block image with another place is a volume there", async () => {
  expect(await output(["volume"])).toBe("of the root image");
});

test("what an image brings and cannot be used is a sentence of docker run", async () => {
  const image = (name: string, annotations: Record<string, string>, extra: Record<string, string> = {}) =>
    buildBootable(docker, files, { name, files: extra, annotations, command: ["/x"] });
  const text = join(files, "plain-text");
  writeFileSync(text, "no file system\n");
  await image("missing", { binary: "/.boot/kernel" });
  expect(await refused(["missing"])).toContain("names /.boot/kernel, and there is no such file");
  await image("unikraft", { unikernelType: "unikraft" });
  expect(await refused(["unikraft"])).toContain('of the type "unikraft"');
  await image("two", { initrd: "/a", block: "/b", blkMntPoint: "/" });
  expect(await refused(["two"])).toContain("2 root file systems");
  await image("text", { block: "/text", blkMntPoint: "/" }, { "/text": text });
  expect(await refused(["text"])).toContain("no file system that the guest mounts");
  await image("packed", { initrd: "/text" }, { "/text": text });
  expect(await refused(["packed"])).toContain("not a cpio archive");
  await until(
    "nothing of them is left",
    async () => (await docker.succeed(["ps", "--all", "--quiet"])) === "",
  );
});
