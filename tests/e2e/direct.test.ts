import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { buildBootable, exportImage } from "../harness/bootable.ts";
import { succeed } from "../harness/command.ts";
import type { Docker } from "../harness/docker.ts";
import { expectNothingLeft } from "../harness/leaks.ts";
import { imageReference, startLoadedDocker } from "../harness/loaded-docker.ts";

/** Images that are booted by their own kernel and init, without the agent, under `docker run`. */

setDefaultTimeout(120_000);

const SHARE = resolve(import.meta.dir, "../../dist/share/urunc");
const URUNIT = { "/urunit": join(SHARE, "urunit") };

let docker: Docker;
let files: string;

beforeAll(async () => {
  docker = await startLoadedDocker("direct", ["busybox"]);
  files = join(docker.layout.directory, "files");
  const root = join(files, "root");
  await exportImage(docker, imageReference("busybox"), root);
  writeFileSync(join(root, "mark"), "of the root image\n");
  await succeed(["cp", join(SHARE, "urunit"), join(root, "urunit")]);
  const block = join(files, "rootfs.ext2");
  await succeed(["mkfs.ext2", "-q", "-d", root, block, "24M"]);
  const initrd = join(files, "rootfs.initrd");
  await succeed(["sh", "-c", `cd ${root} && find . | cpio --quiet -H newc -o > ${initrd}`]);
  const packed = join(files, "rootfs.initrd.gz");
  await succeed(["sh", "-c", `gzip -1 < ${initrd} > ${packed}`]);
  // Another build than ours, of which nothing is known.
  const kernel = join(files, "vmlinux");
  writeFileSync(kernel, Buffer.concat([readFileSync(join(SHARE, "vmlinux")), Buffer.alloc(16)]));
  const compressed = join(files, "bzImage");
  writeFileSync(compressed, Buffer.concat([readFileSync(join(SHARE, "bzImage")), Buffer.alloc(16)]));
  const linux = { unikernelType: "linux", hypervisor: "qemu", binary: "/.boot/kernel" };
  const shell = ["/urunit", "/bin/sh", "-c"];

  await buildBootable(docker, files, {
    name: "raw",
    base: imageReference("busybox"),
    files: { "/.boot/kernel": kernel, ...URUNIT },
    annotations: { ...linux, mountRootfs: "true" },
    command: [...shell, "'echo", "joined;", "uname", "-r'"],
  });
  await buildBootable(docker, files, {
    name: "block",
    files: { "/.boot/kernel": compressed, "/.boot/rootfs": block },
    annotations: { ...linux, block: "/.boot/rootfs", blkMntPoint: "/" },
    command: ["/urunit", "/bin/cat", "/mark"],
  });
  await buildBootable(docker, files, {
    name: "initrd",
    files: { "/.boot/kernel": kernel, "/.boot/rootfs": packed },
    annotations: { ...linux, initrd: "/.boot/rootfs" },
    command: ["/urunit", "/bin/cat", "/mark"],
    plain: true,
  });
}, 600_000);

afterAll(async () => {
  if (docker === undefined) return;
  await docker.stop();
  await expectNothingLeft([docker.layout.directory, docker.cgroup]);
}, 120_000);

const RUN = ["run", "--rm", "--runtime", "urunc"];

/** `docker run --rm --runtime urunc ARGS`, which must succeed; gives standard output. */
function output(args: readonly string[]): Promise<string> {
  return docker.succeed([...RUN, ...args]);
}

describe("a raw image", () => {
  test("runs the application of its command, words between quotes joined", async () => {
    expect(await output(["raw"])).toMatch(/^joined\n6\.12.*-urunc$/);
  });
});

describe("a block image", () => {
  test("is the root", async () => {
    expect(await output(["block"])).toBe("of the root image");
  });
});

describe("an initrd", () => {
  test("is the root", async () => {
    expect(await output(["initrd"])).toBe("of the root image");
  });
});
