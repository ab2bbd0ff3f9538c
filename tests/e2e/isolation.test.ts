import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import type { BundleConfig } from "../harness/bundle.ts";
import { until } from "../harness/command.ts";
import { type Containers, openContainers } from "../harness/containers.ts";
import { processesInCgroup, processName } from "../harness/leaks.ts";
import { makeNetns, type Netns } from "../harness/netns.ts";
import { privateKiB } from "../harness/private-memory.ts";
import { runsMachines } from "../harness/runtime.ts";

setDefaultTimeout(90_000);

const MIB = 1024 * 1024;
/** Numbers of capabilities (capability.h): CHOWN, DAC_OVERRIDE, FOWNER, FSETID, MKNOD, SETFCAP. */
const CAPABILITIES_9P = [0, 1, 3, 4, 27, 31];
/** And SETGID, SETUID. */
const CAPABILITIES_SERVING = [0, 1, 3, 4, 6, 7, 27, 31];
/** And SETPCAP, SYS_CHROOT, until it serves. */
const CAPABILITIES_SERVER = [0, 1, 3, 4, 6, 7, 8, 18, 27, 31];
const SECRET = "not-for-the-sandbox";

interface Machine {
  readonly id: string;
  readonly standin: number;
  readonly monitor: number;
  /** virtiofsd */
  readonly server: number | undefined;
}

let containers: Containers;
let netns: Netns;
/** With a tap, a volume, and a root that can be written to. */
let machine: Machine;
/** Without a network, with a root that is read-only. */
let lonely: Machine;
/** The same by 9p. */
let nine: Machine;

async function startMachine(
  args: readonly string[],
  change: (config: BundleConfig) => void,
  share: "virtiofs" | "9p" = "virtiofs",
): Promise<Machine> {
  const { runtime } = containers;
  const container = await containers.plan(args, change);
  const configuration = join(runtime.directory, `${share}.toml`);
  writeFileSync(configuration, `[monitors.qemu]\nshare = "${share}"\n`);
  const env = {
    ...(process.env as Record<string, string>),
    SECRET,
    URUNC_CONFIG_FILE: configuration,
  };
  const call = await containers.create(container, { env });
  await runtime.succeed(["start", container.id], { env });
  await until("it is ready", () => call.output().stdout.includes("ready"));
  const { pid } = await runtime.state(container.id);
  const find = (name: string) =>
    processesInCgroup(`/${container.id}`).find((one) => processName(one).startsWith(name));
  const monitor = find("qemu-system");
  if (monitor === undefined) throw new Error("there is no monitor");
  return { id: container.id, standin: pid, monitor, server: find("virtiofsd") };
}

/** The fields of `/proc/PID/status`, of every thread. */
function statuses(pid: number): Record<string, string>[] {
  return readdirSync(`/proc/${pid}/task`).map((thread) => {
    const text = readFileSync(`/proc/${pid}/task/${thread}/status`, "utf8");
    const fields = text
      .trim()
      .split("\n")
      .map((line) => line.split(":\t", 2));
    return Object.fromEntries(fields) as Record<string, string>;
  });
}

function capabilities(field: string | undefined): number[] {
  const bits = BigInt(`0x${field}`);
  return Array.from({ length: 64 }, (_, number) => number).filter((number) => (bits >> BigInt(number)) & 1n);
}

interface MountPoint {
  /** What of its file system is mounted. */
  readonly root: string;
  readonly point: string;
  readonly options: string[];
}

/** What serves has given up the rights that setting up takes. */
function servingThreads(pid: number | undefined): Record<string, string>[] {
  if (pid === undefined) return [];
  return statuses(pid).filter((status) => status["Seccomp"] !== "0");
}

/** The last mount at each place of a process's mount namespace. */
function mountsOf(pid: number): Map<string, MountPoint> {
  const mounts = readFileSync(`/proc/${pid}/mountinfo`, "utf8")
    .trim()
    .split("\n")
    .map((line) => {
      const [, , , root = "", point = "", options = ""] = line.split(" ");
      return { root, point, options: options.split(",") };
    });
  return new Map(mounts.map((mount) => [mount.point, mount]));
}

/** Every file below a directory, not following links. */
function filesBelow(path: string): string[] {
  return readdirSync(path, { withFileTypes: true }).flatMap((entry) =>
    entry.isDirectory() ? filesBelow(join(path, entry.name)) : [join(path, entry.name)],
  );
}

/** A value of the container's cgroup, in either version. */
function cgroupValue(id: string, controller: string, v1: string, v2: string): string {
  const unified = `/sys/fs/cgroup/${id}/${v2}`;
  const path = existsSync(unified) ? unified : `/sys/fs/cgroup/${controller}/${id}/${v1}`;
  return readFileSync(path, "utf8").trim();
}

function openFiles(pid: number): string[] {
  return readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
    try {
      return [readlinkSync(`/proc/${pid}/fd/${fd}`)];
    } catch {
      return [];
    }
  });
}

describe.if(runsMachines)("the monitor's sandbox", () => {
  beforeAll(async () => {
    containers = await openContainers("busybox");
    netns = await makeNetns();
    const volume = join(containers.runtime.directory, "volume");
    mkdirSync(volume);
    writeFileSync(join(volume, "file"), "in the volume\n");
    machine = await startMachine(["sh", "-c", "seq 1 200000; echo ready; sleep 1000"], (config) => {
      for (const namespace of config.linux.namespaces)
        if (namespace.type === "network") namespace.path = netns.path;
      config.mounts.push({ destination: "/data", type: "bind", source: volume, options: ["rbind", "ro"] });
      config.linux.resources.memory = { limit: 128 * MIB };
    });
    lonely = await startMachine(["sh", "-c", "echo ready; sleep 1000"], (config) => {
      config.root.readonly = true;
      config.linux.resources.memory = { limit: 320 * MIB };
    });
    nine = await startMachine(
      ["sh", "-c", "echo ready; sleep 1000"],
      (config) => {
        config.root.readonly = true;
      },
      "9p",
    );
  }, 300_000);

  afterAll(async () => {
    await containers?.close();
    expect(await netns?.additions()).toEqual([]);
    await netns?.remove();
  }, 120_000);

  test("its root holds what the monitor needs and nothing else of the host", () => {
    const root = `/proc/${machine.monitor}/root`;
    expect(readdirSync(root).sort()).toEqual(
      ["bin", "dev", "disks", "lib", "lib64", "proc", "run", "sbin", "share", "tmp", "urunc", "usr"].sort(),
    );
    expect(readdirSync(join(root, "disks"))).toEqual([]);
    expect(existsSync(join(root, "etc"))).toBe(false);
    expect(readdirSync(join(root, "share")).sort()).toEqual(["mounts", "rootfs"]);
    expect(readdirSync(join(root, "share/mounts"))).toEqual(["0"]);
    expect(readdirSync(join(root, "share/mounts/0"))).toEqual(["file"]);
    expect(readdirSync(join(root, "run"))).toEqual(["urunc"]);
    for (const file of ["vmlinux", "initramfs.cpio", "urunc-standin"]) {
      expect(readdirSync(join(root, "urunc"))).toContain(file);
    }
  });

  test("its /usr has QEMU, virtiofsd, libraries and firmware", () => {
    const usr = `/proc/${machine.monitor}/root/usr`;
    const files = filesBelow(usr);
    const programs = files.filter(
      (file) => !/\.so(\.|$)/.test(file) && !/\/(qemu|seabios)[^/]*\/[^/]+\.(bin|rom)$/.test(file),
    );
    expect(programs.map((file) => file.slice(usr.length)).sort()).toEqual([
      "/bin/qemu-system-x86_64",
      "/lib/qemu/virtiofsd",
    ]);
    expect(files.length).toBeLessThan(200);
    for (const file of files) expect(lstatSync(file).mode & 0o6022).toBe(0);
  });

  test("its root is read-only; what can be written to runs nothing", () => {
    for (const { monitor } of [machine, lonely]) {
      const mounts = mountsOf(monitor);
      for (const path of ["/", "/usr", "/urunc"]) expect(mounts.get(path)?.options).toContain("ro");
      for (const { root, point, options } of mounts.values()) {
        if (point === "/") continue;
        expect([point, options]).toEqual([point, expect.arrayContaining(["nosuid"])]);
        if (options.includes("ro")) continue;
        // Only /dev has devices, and what the engine masks with /dev/null.
        expect([point, options]).toEqual([point, expect.arrayContaining(["noexec"])]);
        if (!point.startsWith("/dev") && root !== "/null") {
          expect([point, options]).toEqual([point, expect.arrayContaining(["nodev"])]);
        }
      }
    }
  });

  test("the container's files are exported as the container has them", () => {
    const open = mountsOf(machine.monitor);
    expect(open.get("/share/rootfs")?.options).toEqual(
      expect.arrayContaining(["rw", "nosuid", "nodev", "noexec"]),
    );
    expect(open.get("/share/mounts/0")?.options).toEqual(
      expect.arrayContaining(["ro", "nosuid", "nodev", "noexec"]),
    );
    expect(mountsOf(lonely.monitor).get("/share/rootfs")?.options).toContain("ro");
  });

  test("it sees no other process, and has namespaces of its own", () => {
    const seen = readdirSync(`/proc/${machine.monitor}/root/proc`).filter((name) => /^\d+$/.test(name));
    expect(seen.length).toBe(3);
    for (const kind of ["mnt", "pid", "net", "ipc", "uts"]) {
      const host = readlinkSync(`/proc/self/ns/${kind}`);
      expect(readlinkSync(`/proc/${machine.monitor}/ns/${kind}`)).not.toBe(host);
      expect(readlinkSync(`/proc/${machine.standin}/ns/${kind}`)).not.toBe(host);
    }
  });

  test("no process of it can gain privileges, and each has a system call filter", () => {
    for (const { standin, monitor, server } of [machine, lonely, nine]) {
      for (const status of [...statuses(standin), ...statuses(monitor), ...servingThreads(server)]) {
        expect(status["NoNewPrivs"]).toBe("1");
        expect(status["Seccomp"]).toBe("2");
      }
      const argv = readFileSync(`/proc/${monitor}/cmdline`, "utf8").split("\0");
      const sandbox = argv[argv.indexOf("-sandbox") + 1];
      for (const word of [
        "on",
        "obsolete=deny",
        "elevateprivileges=deny",
        "spawn=deny",
        "resourcecontrol=deny",
      ]) {
        expect(sandbox?.split(",")).toContain(word);
      }
    }
  });

  test("with virtiofs neither the monitor nor the stand-in has a capability, nor may get one", () => {
    for (const { standin, monitor } of [machine, lonely]) {
      for (const status of [...statuses(standin), ...statuses(monitor)]) {
        for (const set of ["CapEff", "CapPrm", "CapBnd", "CapInh", "CapAmb"]) {
          expect([set, capabilities(status[set])]).toEqual([set, []]);
        }
      }
    }
  });

  test("virtiofsd has the capabilities to act for the guest's users and no others", () => {
    for (const { server } of [machine, lonely]) {
      const threads = servingThreads(server);
      expect(threads.length).toBeGreaterThanOrEqual(2);
      for (const status of threads) {
        for (const set of ["CapEff", "CapPrm"]) {
          expect([set, capabilities(status[set])]).toEqual([set, CAPABILITIES_SERVING]);
        }
        for (const set of ["CapBnd", "CapInh", "CapAmb"]) {
          expect([set, capabilities(status[set])]).toEqual([set, []]);
        }
      }
      // One that QEMU's library has started before, and that does not serve.
      for (const status of statuses(server ?? 0)) {
        expect(status["NoNewPrivs"]).toBe("1");
        for (const number of capabilities(status["CapEff"])) expect(CAPABILITIES_SERVER).toContain(number);
      }
    }
  });

  test("virtiofsd sees the container's files and nothing else", () => {
    expect(readlinkSync(`/proc/${machine.server}/root`)).toBe("/share");
    for (const path of openFiles(machine.server ?? 0)) {
      expect(path).toMatch(
        /^(\/dev\/null|\/share(\/.*)?|\/proc\/\d+\/(fd|task)|\/memfd:.*|(pipe|socket|anon_inode):.*)$/,
      );
    }
  });

  test("with 9p the monitor has the capabilities that it needs and no others; the stand-in has none", () => {
    expect(nine.server).toBeUndefined();
    for (const status of statuses(nine.monitor)) {
      for (const set of ["CapEff", "CapPrm", "CapBnd"]) {
        expect([set, capabilities(status[set])]).toEqual([set, CAPABILITIES_9P]);
      }
      for (const set of ["CapInh", "CapAmb"]) expect([set, capabilities(status[set])]).toEqual([set, []]);
    }
    for (const status of statuses(nine.standin)) {
      for (const set of ["CapEff", "CapPrm", "CapInh", "CapAmb"]) {
        expect([set, capabilities(status[set])]).toEqual([set, []]);
      }
      for (const number of capabilities(status["CapBnd"])) expect(CAPABILITIES_9P).toContain(number);
    }
  });

  test("the cgroup's memory is the guest's and the same overhead for every size", () => {
    const limitOf = ({ id }: Machine) =>
      Number(cgroupValue(id, "memory", "memory.limit_in_bytes", "memory.max"));
    const overhead = limitOf(machine) - 128 * MIB;
    expect(overhead).toBe(limitOf(lonely) - 320 * MIB);
    expect(overhead).toBeGreaterThan(32 * MIB);
    expect(overhead).toBeLessThanOrEqual(208 * MIB);
    for (const { monitor } of [machine, lonely]) {
      const argv = readFileSync(`/proc/${monitor}/cmdline`, "utf8").split("\0");
      expect(argv[argv.indexOf("-m") + 1]).toBe(monitor === machine.monitor ? "128M" : "320M");
    }
    const processes = cgroupValue(machine.id, "pids", "pids.max", "pids.max");
    expect(Number(processes)).toBeLessThanOrEqual(256);
  });

  test("all of a machine is in the container's cgroup", () => {
    const { id, standin, monitor, server = 0 } = machine;
    expect(processesInCgroup(`/${id}`).sort()).toEqual([standin, monitor, server].sort());
  });

  test("it has the devices that the monitor needs", () => {
    const usual = ["null", "zero", "full", "random", "urandom", "tty", "ptmx", "console"];
    const nodes = (pid: number) => {
      const dev = `/proc/${pid}/root/dev`;
      return filesBelow(dev)
        .filter((file) => {
          const status = lstatSync(file);
          return status.isCharacterDevice() || status.isBlockDevice();
        })
        .map((file) => file.slice(dev.length + 1))
        .filter((name) => !usual.includes(name) && name !== "pts/ptmx" && name !== "kvm")
        .sort();
    };
    expect(nodes(machine.monitor)).toEqual(["net/tun"]);
    expect(nodes(lonely.monitor).filter((name) => name !== "net/tun")).toEqual([]);
  });

  test.if(existsSync("/sys/fs/cgroup/devices"))("the cgroup lets it use those devices alone", () => {
    const list = cgroupValue(machine.id, "devices", "devices.list", "devices.list").split("\n");
    const usual = ["1:3", "1:5", "1:7", "1:8", "1:9", "5:0", "5:1", "5:2", "136:*"];
    for (const line of list) {
      const [type, number = "", access = ""] = line.split(" ");
      // To make a node is not to use it.
      if (access === "m") continue;
      expect([line, type]).toEqual([line, "c"]);
      expect([line, [...usual, "10:200", "10:232"].includes(number)]).toEqual([line, true]);
    }
  });

  test("it has none of the caller's environment and files", () => {
    for (const pid of [machine.monitor, machine.standin, machine.server]) {
      expect(readFileSync(`/proc/${pid}/environ`, "utf8")).not.toContain(SECRET);
    }
    const host = containers.runtime.directory;
    expect(openFiles(machine.monitor).filter((target) => target.startsWith(host))).toEqual([]);
    const outputs = openFiles(machine.standin).filter((target) => target.startsWith(host));
    for (const target of outputs) expect(target).toMatch(/\/call-\d+\.(stdout|stderr)$/);
    expect(openFiles(machine.monitor).filter((target) => /^\/(etc|home|root|var)\//.test(target))).toEqual(
      [],
    );
  });

  test("nobody else reads the state directory", () => {
    const path = join(containers.runtime.root, "containers", machine.id);
    expect(statSync(path).mode & 0o077).toBe(0);
  });

  test("the stand-in keeps less than a mebibyte of memory of its own, after much output too", () => {
    for (const { standin } of [machine, lonely]) {
      expect(processName(standin)).toBe("urunc-standin");
      const own = privateKiB(standin);
      expect(own).toBeGreaterThan(0);
      expect(own).toBeLessThan(1024);
    }
  });
});
