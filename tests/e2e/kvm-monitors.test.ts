import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { UruncError } from "../../src/errors.ts";
import { firecracker } from "../../src/monitor/firecracker.ts";
import { locateMonitor } from "../../src/monitor/locate.ts";
import type { MonitorName } from "../../src/monitor/vm-spec.ts";
import { buildBootable, exportImage } from "../harness/bootable.ts";
import type { BundleConfig } from "../harness/bundle.ts";
import { command, succeed } from "../harness/command.ts";
import { type Containers, openContainers, type PlannedContainer } from "../harness/containers.ts";
import type { Docker } from "../harness/docker.ts";
import { type EmulatedMonitors, openEmulatedMonitors } from "../harness/emulated-monitors.ts";
import { expectNothingLeft, processesInCgroup } from "../harness/leaks.ts";
import { imageReference, startLoadedDocker } from "../harness/loaded-docker.ts";
import { makeNetns, type Netns } from "../harness/netns.ts";
import type { Call } from "../harness/runtime.ts";
import { rustFileServer } from "../harness/ways.ts";

/**
 * Firecracker and Cloud Hypervisor. They run on hardware KVM only, so that most of this has QEMU in their place, which is
 * given what they would be (`emulated-monitor.ts`); the last shows the real one where it is installed.
 */

setDefaultTimeout(120_000);

const SHARE = resolve(import.meta.dir, "../../dist/share/urunc");
const KVM_MONITORS = ["firecracker", "cloud-hypervisor"] as const;

/** What `timeout` ends with. */
const TIMED_OUT = 124;

let containers: Containers;
let monitors: EmulatedMonitors;
let netns: Netns;
let erofs: string;
let count = 0;

beforeAll(async () => {
  containers = await openContainers("busybox");
  monitors = await openEmulatedMonitors();
  netns = await makeNetns();
  const { bundle } = await containers.plan(["true"]);
  erofs = join(containers.runtime.directory, "root.erofs");
  await succeed(["mkfs.erofs", erofs, bundle.rootfs]);
}, 600_000);

afterAll(async () => {
  await netns?.remove();
  await containers?.close();
  monitors?.remove();
}, 120_000);

async function makeUpper(): Promise<string> {
  const path = join(containers.runtime.directory, `upper-${++count}.ext4`);
  writeFileSync(path, "");
  truncateSync(path, 64 * 2 ** 20);
  await succeed(["mkfs.ext4", "-q", path]);
  return path;
}

/** A container of a shell's script on two disks, in the network namespace. */
function plan(
  script: string,
  upper: string,
  change: (config: BundleConfig) => void = () => {},
): Promise<PlannedContainer> {
  return containers.plan(["sh", "-c", script], (config) => {
    config.annotations = { "com.urunc.root.lower": erofs, "com.urunc.root.upper": upper };
    config.linux.namespaces = [
      ...config.linux.namespaces.filter(({ type }) => type !== "network"),
      { type: "network", path: netns.path },
    ];
    // For ping.
    for (const set of ["bounding", "effective", "permitted"]) {
      config.process.capabilities[set] = [...(config.process.capabilities[set] ?? []), "CAP_NET_RAW"];
    }
    change(config);
  });
}

async function run(name: MonitorName, container: PlannedContainer): Promise<Call> {
  const { id, bundle } = container;
  return await containers.runtime.call(["run", "--bundle", bundle.directory, id], {
    env: monitors.environment(name),
  });
}

describe.each(KVM_MONITORS)("%s, with QEMU in its place", (name) => {
  test("a container on two disks: its streams, its status, its network, and what it wrote", async () => {
    const upper = await makeUpper();
    const script =
      "echo out; echo err >&2; grep ' / ' /proc/mounts | cut -d' ' -f3; echo changed > /kept; " +
      `ping -c1 -W20 ${netns.peerAddress} | grep -c '1 packets received'; cat /sys/class/net/eth0/mtu; exit 7`;
    const call = await run(name, await plan(script, upper));
    expect(call.stderr).toEndWith("err\n");
    expect(call).toMatchObject({ exitCode: 7, stdout: "out\noverlay\n1\n1500\n" });
    expect(await netns.additions()).toEqual([]);
    const { stdout } = await command(["debugfs", "-R", "cat /upper/kept", upper]);
    expect(stdout).toBe("changed\n");
  });

  test("processes are added, and signals reach the first; the monitor has no capability", async () => {
    const script = "trap 'echo got it; exit 3' TERM; echo ready; while :; do sleep 0.1; done";
    const container = await plan(script, await makeUpper());
    const { runtime } = containers;
    const env = monitors.environment(name);
    const call = await containers.create(container, { env });
    await runtime.succeed(["start", container.id]);
    const exec = await runtime.call([
      "exec",
      container.id,
      "sh",
      "-c",
      "echo $0 $(cat /proc/1/comm); exit 5",
    ]);
    expect(exec).toMatchObject({ exitCode: 5, stdout: "sh sh\n" });
    const { pid } = await runtime.state(container.id);
    const { cgroupsPath } = container.bundle.config.linux;
    const running = processesInCgroup(cgroupsPath).filter((one) => one !== pid);
    expect(running).not.toHaveLength(0);
    for (const one of running) {
      expect(readFileSync(`/proc/${one}/status`, "utf8")).toMatch(/^CapEff:\t0+$/m);
    }
    await runtime.succeed(["kill", container.id, "TERM"]);
    await runtime.untilStatus(container.id, "stopped");
    expect(call.output().stdout).toBe("ready\ngot it\n");
    await runtime.succeed(["delete", container.id]);
    await containers.expectGone(container.id);
  });

  test("what it cannot do is refused by create, with nothing left", async () => {
    const upper = await makeUpper();
    const refused = async (change: (config: BundleConfig) => void) => {
      const container = await plan("true", upper, change);
      const call = await run(name, container);
      expect(call.exitCode).not.toBe(0);
      await containers.expectGone(container.id);
      return call.stderr;
    };
    const bind = { type: "bind", source: "/etc", options: ["rbind", "ro"] };
    expect(await refused(({ mounts }) => mounts.push({ destination: "/data", ...bind }))).toContain(
      "the volume at /data cannot reach it",
    );
    const withoutNetwork = ({ linux }: BundleConfig) => {
      linux.namespaces = linux.namespaces.filter(({ type }) => type !== "network");
    };
    expect(await refused(withoutNetwork)).toContain("needs a network namespace");
  });
});

describe("under Docker", () => {
  let docker: Docker;
  let files: string;

  beforeAll(async () => {
    const place = mkdtempSync(join(tmpdir(), "urt-runtime-"));
    const runtime = join(place, "urunc");
    const { URUNC_CONFIG_FILE: config } = monitors.environment();
    const program = resolve(import.meta.dir, "../../dist/bin/urunc");
    writeFileSync(runtime, `#!/bin/sh\nexport URUNC_CONFIG_FILE=${config}\nexec ${program} "$@"\n`, {
      mode: 0o755,
    });
    docker = await startLoadedDocker("kvm", ["busybox"], runtime);
    files = join(docker.layout.directory, "files");
    mkdirSync(files);
    const root = join(files, "root");
    await exportImage(docker, imageReference("busybox"), root);
    const block = join(files, "rootfs.ext2");
    await succeed(["mkfs.ext2", "-q", "-d", root, block, "24M"]);
    await buildBootable(docker, files, {
      name: "plain",
      base: imageReference("busybox"),
      files: {},
      annotations: { hypervisor: "firecracker" },
      command: [
        "/bin/sh",
        "-c",
        "cut -d' ' -f3 /proc/mounts | head -1; cat /urunc.json; touch /new; ls /new",
      ],
    });
    for (const hypervisor of ["firecracker", "clh"]) {
      await buildBootable(docker, files, {
        name: hypervisor,
        files: { "/.boot/rootfs": block },
        annotations: { hypervisor, block: "/.boot/rootfs", blkMntPoint: "/" },
        command: [
          "/bin/sh",
          "-c",
          "hostname; grep -c given /etc/hosts; grep -c ^nameserver /etc/resolv.conf",
        ],
      });
    }
  }, 600_000);

  afterAll(async () => {
    if (docker === undefined) return;
    await docker.stop();
    rmSync(resolve(docker.layout.runtime, ".."), { recursive: true });
    await expectNothingLeft([docker.layout.directory, docker.cgroup]);
  }, 120_000);

  test.each(["firecracker", "clh"])("an image for %s has the client's own files", async (image) => {
    const words = ["run", "--rm", "--runtime", "urunc", "--hostname", "box", "--add-host", "given:10.1.2.3"];
    expect(await docker.succeed([...words, image])).toBe("box\n1\n1");
  });

  test("an image without a root of its own for machines has one made, as no files are shared", async () => {
    const said = await docker.succeed(["run", "--rm", "--runtime", "urunc", "plain"]);
    expect(said).toMatch(/^overlay\n\{.*hypervisor.*\}\/new$/);
  });
});

const server = rustFileServer();

test.skipIf(server === undefined)(
  "by Cloud Hypervisor the container's own root and a volume are shared by the virtiofsd in Rust",
  async () => {
    const volume = mkdtempSync(join(containers.runtime.directory, "volume-"));
    const script =
      "grep ' / ' /proc/mounts | cut -d' ' -f3; echo written > /v/new; echo root > /kept; exit 4";
    const { id, bundle } = await containers.plan(["sh", "-c", script], (config) => {
      config.root.readonly = false;
      config.mounts.push({ destination: "/v", type: "bind", source: volume, options: ["rbind"] });
    });
    const call = await containers.runtime.call(["run", "--bundle", bundle.directory, id], {
      env: monitors.environment("cloud-hypervisor", server),
    });
    expect(call).toMatchObject({ exitCode: 4, stdout: "virtiofs\n" });
    expect(readFileSync(join(volume, "new"), "utf8")).toBe("written\n");
    expect(readFileSync(join(bundle.rootfs, "kept"), "utf8")).toBe("root\n");
    await containers.expectGone(id);
  },
);

test("what only the image wishes yields to QEMU where it cannot run the container", async () => {
  const container = await plan("true", await makeUpper(), ({ annotations = {}, mounts }) => {
    annotations["com.urunc.unikernel.hypervisor"] = "firecracker";
    mounts.push({ destination: "/data", type: "bind", source: "/etc", options: ["rbind", "ro"] });
  });
  const { runtime } = containers;
  const { log } = await containers.create(container, { env: monitors.environment() });
  expect(log.map(({ msg }) => msg)).toContainEqual(
    expect.stringMatching(
      /wants the monitor firecracker, which cannot run it \(.* at \/data .*\): QEMU runs it$/,
    ),
  );
  const record = join(runtime.root, "containers", container.id, "container.json");
  expect(JSON.parse(readFileSync(record, "utf8"))).toMatchObject({ monitor: "qemu" });
  await runtime.succeed(["delete", "--force", container.id]);
  await containers.expectGone(container.id);
});

describe("Firecracker itself", () => {
  const installed = program("firecracker");

  test.skipIf(installed === undefined)("it takes the configuration, as far as KVM", async () => {
    const directory = mkdtempSync(join(tmpdir(), "urt-firecracker-"));
    const disk = join(directory, "disk");
    writeFileSync(disk, Buffer.alloc(1 << 20));
    const { argv, files = [] } = firecracker.plan({
      name: "box",
      program: installed as string,
      kernel: join(SHARE, "vmlinux"),
      initrd: join(SHARE, "initramfs.cpio"),
      kernelArguments: [],
      memoryMiB: 128,
      vcpus: 1,
      acceleration: { kind: "kvm" },
      share: { kind: "none" },
      drives: [{ path: disk, serial: "root", readOnly: false }],
      network: { kind: "none" },
      agentFd: 3,
      consoleFd: 4,
      vsockPath: join(directory, "vsock.sock"),
    });
    for (const { path, contents } of files) writeFileSync(path, contents);
    // A machine that runs, or hangs where KVM runs only other kernels, has been configured.
    // It opens its standard error by name, which goes for pipes, as the stand-in gives it, and not for this process's sockets.
    const piped = ["bash", "-o", "pipefail", "-c", '"$@" 2>&1 | cat', "piped"];
    const { exitCode, stdout, stderr } = await command([...piped, "timeout", "20", ...argv]);
    rmSync(directory, { recursive: true });
    const said = stdout + stderr;
    expect(said).not.toMatch(/json|configuration|unknown|argument/i);
    if (exitCode !== 0 && exitCode !== TIMED_OUT) expect(said).toMatch(/kvm/i);
  });
});

function program(name: MonitorName): string | undefined {
  try {
    return locateMonitor(name);
  } catch (error) {
    if (error instanceof UruncError) return undefined;
    throw error;
  }
}
