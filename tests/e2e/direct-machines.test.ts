import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { type Containers, openContainers } from "../harness/containers.ts";
import { makeNetns, type Netns } from "../harness/netns.ts";

/** The machines and the ways of a shared root that an image's own kernel can have without the agent. */

setDefaultTimeout(120_000);

const SHARE = resolve(import.meta.dir, "../../dist/share/urunc");

let containers: Containers;
let netns: Netns;

beforeAll(async () => {
  containers = await openContainers("busybox");
  netns = await makeNetns();
}, 300_000);

afterAll(async () => {
  await containers?.close();
  await netns?.remove();
}, 120_000);

/** What is done in each. */
const SCRIPT = [
  "cat /etc/hosts /v/file; echo out >/v/back; echo made >/made; chown 5:6 /made",
  "ip -4 -o address show eth0 | grep -o 10.77.0.2/24; ping -c 1 -W 5 10.77.0.1 >/dev/null && echo reached",
  "pwd; id -u; echo $WORDS; grep -o virtio_mmio.device= /proc/cmdline | wc -l",
  "grep ' / ' /proc/mounts | cut -d ' ' -f 3; exit 7",
].join("\n");

/** Beside a kernel that is ours but for its end: where it says so, without virtio on PCI; never fit for the agent. */
function configuration(onPci: boolean): string {
  const config = readFileSync(join(SHARE, "kernel.config"), "utf8").replace("CONFIG_PID_NS=y\n", "");
  return onPci ? config : config.replace("CONFIG_VIRTIO_PCI=y\n", "");
}

describe.each(["virtiofs", "9p"])("a root shared by %s", (share) => {
  test.each([
    ["a PC", "bzImage"],
    ["a microvm", "vmlinux"],
    ["a microvm", "bzImage"],
  ])("is that of %s, by a %s", async (machine, kernel) => {
    const volume = join(containers.runtime.directory, `${share}-${machine}-${kernel}`.replaceAll(" ", "-"));
    mkdirSync(volume);
    writeFileSync(join(volume, "file"), "of the host\n");
    // A command line has room for 32 words.
    writeFileSync(join(volume, "script"), SCRIPT);
    writeFileSync(join(volume, "hosts"), "10.1.2.3 given\n");
    const { id, bundle } = await containers.plan(["/urunit", "sh", "/v/script"], (config) => {
      config.annotations = {
        "com.urunc.unikernel.binary": "/boot/kernel",
        "com.urunc.config.monitors.qemu.share": share,
      };
      config.process.env.push("WORDS=of three words");
      config.process.cwd = "/srv/deep";
      const bind = { type: "bind", options: ["rbind", "rw"] };
      config.mounts.push({ ...bind, destination: "/v", source: volume });
      config.mounts.push({ ...bind, destination: "/etc/hosts", source: join(volume, "hosts") });
      const network = config.linux.namespaces.find(({ type }) => type === "network");
      if (network !== undefined) network.path = netns.path;
    });
    mkdirSync(join(bundle.rootfs, "boot"));
    copyFileSync(join(SHARE, "urunit"), join(bundle.rootfs, "urunit"));
    const image = Buffer.concat([readFileSync(join(SHARE, kernel)), Buffer.alloc(16)]);
    writeFileSync(join(bundle.rootfs, "boot/kernel"), image);
    writeFileSync(join(bundle.rootfs, "boot/config"), configuration(machine === "a PC"));
    const call = await containers.runtime.call(["run", "--bundle", bundle.directory, id]);
    expect(call.stderr).toBe("");
    const devices = machine === "a PC" ? "0" : "8";
    const lines = [
      "10.1.2.3 given",
      "of the host",
      "10.77.0.2/24",
      "reached",
      "/srv/deep",
      "0",
      "of three words",
    ];
    expect(call.stdout.split("\n")).toEqual([...lines, devices, share, ""]);
    expect(call.exitCode).toBe(7);
    expect(readFileSync(join(volume, "back"), "utf8")).toBe("out\n");
    expect(readFileSync(join(bundle.rootfs, "made"), "utf8")).toBe("made\n");
    await containers.expectGone(id);
  });
});
