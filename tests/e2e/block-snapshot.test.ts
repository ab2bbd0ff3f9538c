import { afterAll, afterEach, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { copyFileSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import type { Bundle, BundleConfig } from "../harness/bundle.ts";
import { command, succeed, until } from "../harness/command.ts";
import { type Containerd, startContainerd } from "../harness/containerd.ts";
import { type Containers, openContainers, type PlannedContainer } from "../harness/containers.ts";
import {
  type DeviceRoot,
  devicesAt,
  hasDeviceMapper,
  loopDevices,
  makeFileSystem,
  mountCopy,
  unmountClean,
} from "../harness/device-root.ts";
import { expectNothingLeft, processesInCgroup, processName } from "../harness/leaks.ts";
import { runtimePath } from "../harness/runtime.ts";

/** A container whose root is a mounted block device, which the machine gets in the host's place. */

setDefaultTimeout(120_000);

const SHARE = resolve(import.meta.dir, "../../dist/share/urunc");
const ASKS = { "com.urunc.unikernel.mountRootfs": "true" };

interface Planned extends PlannedContainer {
  readonly root: DeviceRoot;
}

let containers: Containers;
let template: string;
let containerd: Containerd | undefined;
const mounted: DeviceRoot[] = [];

beforeAll(async () => {
  containers = await openContainers("busybox");
  const { bundle } = await containers.plan(["true"]);
  writeFileSync(join(bundle.rootfs, "mark"), "of the image\n");
  copyFileSync(join(SHARE, "urunit"), join(bundle.rootfs, "urunit"));
  mkdirSync(join(bundle.rootfs, ".boot"));
  // A kernel of which nothing is known.
  const kernel = Buffer.concat([readFileSync(join(SHARE, "bzImage")), Buffer.alloc(16)]);
  writeFileSync(join(bundle.rootfs, ".boot/kernel"), kernel);
  template = join(containers.runtime.directory, "template.ext4");
  await makeFileSystem(template, bundle.rootfs);
}, 300_000);

afterEach(async () => {
  for (const { place } of mounted.splice(0))
    while (devicesAt(place).length > 0) await succeed(["umount", place]);
});

afterAll(async () => {
  await containers?.close();
  if (containerd === undefined) return;
  await containerd.stop();
  await expectNothingLeft([containerd.layout.directory, containerd.namespace]);
}, 120_000);

/** A container of a shell's script whose root is a mounted copy of the template. */
async function plan(
  script: string,
  change: (config: BundleConfig, bundle: Bundle) => void = () => {},
  options: readonly string[] = [],
): Promise<Planned> {
  const planned = await containers.plan(["sh", "-c", script]);
  const root = await mountCopy(template, planned.bundle.rootfs, options);
  mounted.push(root);
  const { config } = planned.bundle;
  config.annotations = { ...ASKS };
  change(config, planned.bundle);
  writeFileSync(join(planned.bundle.directory, "config.json"), JSON.stringify(config));
  return { ...planned, root };
}

function run({ id, bundle }: PlannedContainer) {
  return containers.runtime.call(["run", "--bundle", bundle.directory, id]);
}

async function start(planned: Planned): Promise<void> {
  await containers.create(planned);
  await containers.runtime.succeed(["start", planned.id]);
}

function inGuest({ id }: Planned, script: string) {
  return containers.runtime.call(["exec", id, "sh", "-c", script]);
}

describe("the machine has the device instead of the host", () => {
  test("from start to delete, with what was written before, and what it writes afterwards", async () => {
    const volume = join(containers.runtime.directory, "volume");
    mkdirSync(volume);
    writeFileSync(join(volume, "resolv.conf"), "nameserver 10.9.9.9\n");
    const planned = await plan("echo written >/made; exec sleep 1000", ({ mounts }) => {
      const source = join(volume, "resolv.conf");
      mounts.push({ destination: "/etc/resolv.conf", type: "bind", source, options: ["rbind", "ro"] });
      mounts.push({ destination: "/data", type: "bind", source: volume, options: ["rbind", "rw"] });
    });
    const { id, root, bundle } = planned;
    const [device] = await loopDevices(root.image);
    await containers.create(planned);
    expect(devicesAt(root.place)).toHaveLength(1);
    writeFileSync(join(root.place, "client"), "of the client\n");
    await containers.runtime.succeed(["start", id]);

    expect(devicesAt(root.place)).toEqual([]);
    expect(await loopDevices(root.image)).toEqual([device as string]);
    const again = join(containers.runtime.directory, "again");
    mkdirSync(again);
    const refused = await command(["mount", "-t", "ext4", device as string, again]);
    expect(refused.exitCode).not.toBe(0);
    expect(refused.stderr).toContain("busy");
    const { stdout } = await inGuest(
      planned,
      "until [ -e /made ]; do sleep 0.1; done; sync; cat /client /mark /etc/resolv.conf /made; echo out >/data/file; " +
        "grep ' / ' /proc/mounts | cut -d ' ' -f 3",
    );
    expect(stdout).toBe("of the client\nof the image\nnameserver 10.9.9.9\nwritten\next4\n");
    expect(readFileSync(join(volume, "file"), "utf8")).toBe("out\n");
    const monitor = processesInCgroup(bundle.config.linux.cgroupsPath).find((pid) =>
      processName(pid).startsWith("qemu"),
    );
    expect(readFileSync(`/proc/${monitor}/status`, "utf8")).toMatch(/^CapEff:\s0+$/m);

    await containers.runtime.succeed(["kill", id, "KILL"]);
    await containers.runtime.untilStatus(id, "stopped");
    await containers.runtime.succeed(["delete", id]);
    await containers.expectGone(id);
    expect(devicesAt(root.place)).toHaveLength(1);
    expect(readFileSync(join(root.place, "made"), "utf8")).toBe("written\n");
    await succeed(["umount", root.place]);
    // As mount(8) has made it, it goes with its mount.
    await until("the loop device is gone", async () => (await loopDevices(root.image)).length === 0);
    expect((await command(["e2fsck", "-fn", root.image])).exitCode).toBe(0);
  });

  test("in run too, again and again, and the file system is clean", async () => {
    const planned = await plan("cat /made 2>/dev/null; echo once >>/made; exit 4");
    for (const before of ["", "once\n"]) {
      const call = await run({ ...planned, id: containers.runtime.newId() });
      expect(call.stderr).toBe("");
      expect([call.stdout, call.exitCode]).toEqual([before, 4]);
      expect(devicesAt(planned.root.place)).toHaveLength(1);
    }
    await unmountClean(planned.root);
  });

  test("and nothing of the host's where nothing is bound, on a device that stays without a mount", async () => {
    const planned = await plan("exec sleep 1000");
    await succeed(["umount", planned.root.place]);
    const device = (await succeed(["losetup", "--find", "--show", planned.root.image])).trim();
    try {
      await succeed(["mount", device, planned.root.place]);
      await start(planned);
      const names = processesInCgroup(planned.bundle.config.linux.cgroupsPath).map(processName);
      expect(names).toContain("urunc-standin");
      expect(names).not.toContain("virtiofsd");
      await containers.runtime.succeed(["delete", "--force", planned.id]);
      const { rdev } = statSync(device);
      expect(statSync(planned.root.place).dev).toBe(rdev);
      await succeed(["umount", planned.root.place]);
    } finally {
      await succeed(["losetup", "--detach", device]);
    }
  });

  test("which is whole again after the machine was killed", async () => {
    const planned = await plan("echo kept >/made; sync; echo ready; exec sleep 1000");
    await containers.create(planned);
    const { output } = await containers.runtime.succeed(["start", planned.id]);
    await until("it is written", async () => (await inGuest(planned, "cat /made")).stdout === "kept\n");
    expect(output().stderr).toBe("");
    process.kill((await containers.runtime.state(planned.id)).pid, "SIGKILL");
    await containers.runtime.untilStatus(planned.id, "stopped");
    await containers.runtime.succeed(["delete", planned.id]);
    expect(readFileSync(join(planned.root.place, "made"), "utf8")).toBe("kept\n");
    await unmountClean(planned.root);
  });

  test("read-only, where the root or its mount is", async () => {
    const script = "cat /mark; echo x 2>/dev/null >/mark || echo refused; ls -d /proc/self";
    const expected = "of the image\nrefused\n/proc/self\n";
    const readOnly = await plan(script, (config) => {
      config.root.readonly = true;
    });
    expect((await run(readOnly)).stdout).toBe(expected);
    expect((await run(await plan(script, undefined, ["ro"]))).stdout).toBe(expected);
    await unmountClean(readOnly.root);
  });
});

test("a kernel that the image brings is a copy: the same container starts again, without the agent", async () => {
  const hosts = join(containers.runtime.directory, "hosts");
  writeFileSync(hosts, "10.1.2.3 given\n");
  const planned = await plan("", (config) => {
    config.annotations = { ...ASKS, "com.urunc.unikernel.binary": "/.boot/kernel" };
    config.process.args = ["/urunit", "sh", "-c", "cat /etc/hosts /mark; uname -r; echo again >/mark"];
    config.mounts.push({ destination: "/etc/hosts", type: "bind", source: hosts, options: ["rbind", "ro"] });
  });
  const before = statSync(join(planned.root.place, ".boot/kernel"));
  expect((await run(planned)).stdout).toMatch(/^10\.1\.2\.3 given\nof the image\n6\.12\S*\n$/);
  expect((await run({ ...planned, id: containers.runtime.newId() })).stdout).toContain("given\nagain\n");
  const after = statSync(join(planned.root.place, ".boot/kernel"));
  expect([after.ino, after.size, after.mtimeMs]).toEqual([before.ino, before.size, before.mtimeMs]);
  await unmountClean(planned.root);
});

describe("the host's mount stays", () => {
  async function explained({ bundle }: Planned): Promise<string> {
    const bunny = resolve(import.meta.dir, "../../dist/bin/bunny");
    return succeed([bunny, "explain", bundle.directory]);
  }

  test("of a container that was never started", async () => {
    const planned = await plan("true");
    await containers.create(planned);
    await containers.runtime.succeed(["delete", planned.id]);
    expect(devicesAt(planned.root.place)).toHaveLength(1);
  });

  test("where nobody asks for the device, or it is not the container's alone; and bunny explain says so", async () => {
    const planned = await plan("true");
    expect(await explained(planned)).toMatch(/ext4 file system \/dev\/loop\d+, which is written to/);
    await succeed(["mount", "-t", "tmpfs", "tmpfs", join(planned.root.place, "proc")]);
    expect(await explained(planned)).toContain("something is mounted below it");
    await succeed(["umount", join(planned.root.place, "proc")]);
    const unasked = (key: string, value: string) =>
      plan("true", (config) => {
        config.annotations = { [key]: value };
      });
    expect(await explained(await unasked("com.urunc.config.runtime.boot_timeout_ms", "60000"))).toContain(
      "shared by",
    );
    expect(await explained(await unasked("com.urunc.config.rootfs.snapshot", "always"))).toContain(
      "/dev/loop",
    );
    expect(await explained(await unasked("com.urunc.unikernel.useDMBlock", "true"))).toContain("/dev/loop");
    const never = await plan("true", (config) => {
      config.annotations = { ...ASKS, "com.urunc.config.rootfs.snapshot": "never" };
    });
    expect(await explained(never)).toContain("shared by");
  });

  test("where another mount namespace still has it, with a sentence of start", async () => {
    const planned = await plan("true");
    await containers.create(planned);
    const other = Bun.spawn(["unshare", "--mount", "--propagation", "private", "sleep", "1000"]);
    try {
      await until("it has its own mounts", async () => {
        const own = await succeed(["readlink", "/proc/self/ns/mnt"]);
        return (await command(["readlink", `/proc/${other.pid}/ns/mnt`])).stdout !== own;
      });
      const { exitCode, stderr, log } = await containers.runtime.call(["start", planned.id]);
      expect(exitCode).toBe(1);
      expect(`${stderr}${log.at(-1)?.msg}`).toContain(`is still mounted where process ${other.pid} is`);
      expect(devicesAt(planned.root.place)).toHaveLength(1);
    } finally {
      other.kill("SIGKILL");
      await other.exited;
    }
    // It is as it was: another start succeeds.
    await containers.runtime.succeed(["start", planned.id]);
    await containers.runtime.untilStatus(planned.id, "stopped");
    await containers.runtime.succeed(["delete", planned.id]);
    await unmountClean(planned.root);
  });
});

test("containerd starts, ends and starts again what is mounted for it", async () => {
  containerd = await startContainerd("device", runtimePath);
  const place = join(containerd.layout.directory, "root");
  mkdirSync(place);
  const root = await mountCopy(template, place);
  mounted.push(root);
  const flags = [
    "--runtime",
    "io.containerd.urunc.v2",
    "--annotation",
    "com.urunc.unikernel.mountRootfs=true",
  ];
  for (const [id, before] of [
    ["first", ""],
    ["second", "once\n"],
  ] as const) {
    const script = "cat /made 2>/dev/null; echo once >>/made; exit 3";
    const fifos = ["--fifo-dir", join(containerd.layout.directory, "fifos")];
    const words = [
      "run",
      "--rm",
      ...fifos,
      ...flags,
      "--env",
      "PATH=/bin",
      "--rootfs",
      place,
      id,
      "sh",
      "-c",
      script,
    ];
    const { exitCode, stdout, stderr } = await containerd.run(words);
    expect([stdout, stderr, exitCode]).toEqual([before, "", 3]);
    expect(devicesAt(place)).toHaveLength(1);
  }
  await unmountClean(root);
});

test.if(hasDeviceMapper)("a device of device mapper (not verified where the kernel has none)", async () => {
  const planned = await plan("cat /mark; echo mapped >/made");
  await succeed(["umount", planned.root.place]);
  const loop = (await succeed(["losetup", "--find", "--show", planned.root.image])).trim();
  const name = `ur-${process.pid}`;
  try {
    const sectors = (await succeed(["blockdev", "--getsz", loop])).trim();
    await succeed(["dmsetup", "create", name, "--table", `0 ${sectors} linear ${loop} 0`]);
    await succeed(["mount", `/dev/mapper/${name}`, planned.root.place]);
    expect((await run(planned)).stdout).toBe("of the image\n");
    expect(readFileSync(join(planned.root.place, "made"), "utf8")).toBe("mapped\n");
    await succeed(["umount", planned.root.place]);
  } finally {
    await command(["dmsetup", "remove", name]);
    await succeed(["losetup", "--detach", loop]);
  }
  rmSync(planned.root.image);
});
