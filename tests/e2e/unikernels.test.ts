import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { copyFileSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import type { BundleConfig } from "../harness/bundle.ts";
import { succeed } from "../harness/command.ts";
import { type Containers, openContainers } from "../harness/containers.ts";
import { makeNetns, type Netns } from "../harness/netns.ts";
import type { Call } from "../harness/runtime.ts";

/** Kernels that are no Linux, booted with a command line by their own convention; and images that contradict themselves. */

setDefaultTimeout(120_000);

let containers: Containers;
let netns: Netns;
/** It prints its command line and ends the machine, as `unikernel.S` says. */
let kernel: string;

beforeAll(async () => {
  containers = await openContainers("busybox");
  netns = await makeNetns();
  const { directory } = containers.runtime;
  kernel = join(directory, "unikernel");
  const source = resolve(import.meta.dir, "../harness/unikernel.S");
  await succeed(["gcc", "-m32", "-c", source, "-o", `${kernel}.o`]);
  const places = ["-Ttext=0x101000", "--section-start=.multiboot=0x100000"];
  await succeed(["ld", "-m", "elf_i386", ...places, "-e", "_start", "-o", kernel, `${kernel}.o`]);
}, 300_000);

afterAll(async () => {
  await containers?.close();
  await netns?.remove();
}, 120_000);

async function run(
  annotations: Record<string, string>,
  args: readonly string[],
  change: (config: BundleConfig, rootfs: string) => void = () => {},
): Promise<Call & { id: string }> {
  const { id, bundle } = await containers.plan(args);
  rmSync(bundle.rootfs, { recursive: true });
  mkdirSync(bundle.rootfs);
  copyFileSync(kernel, join(bundle.rootfs, "kernel"));
  const given = Object.entries(annotations).map(([key, value]) => [`com.urunc.unikernel.${key}`, value]);
  bundle.config.annotations = Object.fromEntries(given);
  change(bundle.config, bundle.rootfs);
  writeFileSync(join(bundle.directory, "config.json"), JSON.stringify(bundle.config));
  return { id, ...(await containers.runtime.call(["run", "--bundle", bundle.directory, id])) };
}

function connected({ linux }: BundleConfig): void {
  const network = linux.namespaces.find(({ type }) => type === "network");
  if (network !== undefined) network.path = netns.path;
}

test("unikraft has its address, and its command behind dashes", async () => {
  const unikraft = { unikernelType: "unikraft", hypervisor: "qemu", binary: "/kernel" };
  const call = await run(unikraft, ["nginx", "-c", "/a b"], connected);
  expect(call.stderr).toBe("");
  expect(call.stdout).toMatch(/^\/kernel netdev\.ip=10\.77\.0\.2\/24:::: -- nginx -c "\/a b"\r?\n$/);
  expect(call.exitCode).toBe(0);
  await containers.expectGone(call.id);
  const own = { ...unikraft, unikernelVersion: "0.15.0", cmdline: "nginx -c /nginx.conf" };
  expect((await run(own, ["unikernel"], connected)).stdout).toMatch(
    /^\/kernel netdev\.ipv4_addr=10\.77\.0\.2 netdev\.ipv4_subnet_mask=255\.255\.255\.0 -- nginx -c \/nginx\.conf\r?\n$/,
  );
});

test("mewz has its address, and ends with a status of its own", async () => {
  const call = await run({ unikernelType: "mewz", binary: "/kernel" }, ["unikernel"], connected);
  expect(call.stdout).toMatch(/^\/kernel ip=10\.77\.0\.2\/24\r?\n$/);
  expect([call.stderr, call.exitCode]).toEqual(["", 3]);
});

test("a kernel's path is followed by links inside of the image alone", async () => {
  const through = (target: string) =>
    run({ unikernelType: "unikraft", binary: "/boot/image" }, ["x"], (_, rootfs) => {
      mkdirSync(join(rootfs, "boot"));
      symlinkSync(target, join(rootfs, "boot/image"));
    });
  expect((await through("/kernel")).stdout).toContain("-- x");
  expect((await through("../../../../../../../kernel")).stdout).toContain("-- x");
  // It is there, on the host.
  const outside = await through(kernel);
  expect([outside.stdout, outside.exitCode]).toEqual(["", 1]);
  expect(outside.stderr).toContain("names /boot/image, and there is no such file");
});

test("what cannot be is one sentence, and nothing is left", async () => {
  const unikraft = { unikernelType: "unikraft", binary: "/kernel" };
  const refusals: [Record<string, string>, string][] = [
    [{ unikernelType: "mirage", binary: "/kernel" }, 'of the type "mirage"'],
    [{ unikernelType: "rumprun", binary: "/kernel" }, "only linux, unikraft and mewz can be run"],
    [{ unikernelType: "unikraft" }, "it names no kernel"],
    [{ ...unikraft, boot: "agent" }, "no agent can be in it"],
    [{ ...unikraft, block: "/kernel", blkMntPoint: "/data" }, "it gets no block image"],
    [{ ...unikraft, initrd: "/kernel", mountRootfs: "true" }, "2 root file systems"],
    [{ binary: "/kernel", boot: "agent" }, "the image asks for the agent"],
    [{ ...unikraft, binary: "/../kernel" }, 'without "." and ".."'],
  ];
  for (const [annotations, sentence] of refusals) {
    const { id, exitCode, stderr } = await run(annotations, ["x"]);
    expect([exitCode, stderr.trimEnd().split("\n").length]).toEqual([1, 1]);
    expect(stderr).toContain(sentence);
    await containers.expectGone(id);
  }
  const volume = await run(unikraft, ["x"], ({ mounts }) => {
    mounts.push({ destination: "/data", type: "bind", source: "/srv", options: ["rbind"] });
  });
  expect(volume.stderr).toContain("the volume at /data cannot reach");
});
