import { expect, test } from "bun:test";
import type { MonitorPlan } from "../monitor/vm-spec.ts";
import type { Spec } from "../oci/runtime-spec.ts";
import type { Snapshot } from "../rootfs/snapshot.ts";
import type { RootWay } from "../rootfs/source.ts";
import { planGuest } from "./guest-plan.ts";
import { guestKind } from "./kind.ts";
import { MINIMUM_MEMORY_MIB, machineSize, sandboxResources } from "./resources.ts";
import { sandboxSpec } from "./sandbox.ts";

const MIB = 1024 * 1024;
const defaults = { memoryMiB: 256, vcpus: 1 };

function spec(more: Partial<Spec> = {}): Spec {
  return {
    ociVersion: "1.0.2",
    process: {
      user: { uid: 1000, gid: 1000 },
      args: ["/app", "--flag"],
      env: ["SECRET=1"],
      cwd: "/",
      capabilities: { bounding: ["CAP_SYS_ADMIN"] },
    },
    root: { path: "rootfs" },
    linux: { namespaces: [{ type: "network" }, { type: "pid" }], cgroupsPath: "/docker/x" },
    ...more,
  };
}

const monitor: MonitorPlan = {
  argv: ["/usr/bin/qemu"],
  devices: [{ path: "/dev/net/tun", major: 10, minor: 200 }],
  capabilities: ["CAP_CHOWN"],
  overheadMiB: 100,
};

const paths = {
  bundle: "/b",
  containerRootfs: "/b/rootfs",
  rootfs: "/run/urunc/containers/x/rootfs",
  vm: "/run/urunc/containers/x/vm",
  files: "/opt/share/urunc",
  monitorTree: "/var/lib/urunc/monitors/k",
};

test("the guest's memory is the container's limit, else the default", () => {
  expect(machineSize({ memory: { limit: 64 * MIB } }, defaults).memoryMiB).toBe(64);
  expect(machineSize(undefined, defaults).memoryMiB).toBe(256);
  expect(machineSize({ memory: { limit: -1 } }, defaults).memoryMiB).toBe(256);
});

test("a limit that no guest boots with is refused with the least that does", () => {
  expect(() => machineSize({ memory: { limit: 8 * MIB } }, defaults)).toThrow(
    `give at least ${MINIMUM_MEMORY_MIB} MiB`,
  );
});

test("vCPUs are the CPU quota rounded up, at least one", () => {
  const vcpus = (quota: number, period = 100_000) => machineSize({ cpu: { quota, period } }, defaults).vcpus;
  expect([vcpus(50_000), vcpus(100_000), vcpus(150_000), vcpus(-1)]).toEqual([1, 1, 2, 1]);
  expect(machineSize({ cpu: { quota: 200_000 } }, defaults).vcpus).toBe(2);
});

test("the sandbox's cgroup holds the guest and the monitor, and the app's process limit stays in the guest", () => {
  const resources = sandboxResources(
    { memory: { limit: 64 * MIB, swap: 128 * MIB, kernel: 1 }, pids: { limit: 5 }, cpu: { shares: 2 } },
    64,
    100,
    monitor.devices,
  );
  expect(resources.memory).toEqual({ limit: 164 * MIB, swap: 228 * MIB });
  expect(resources.pids?.limit).toBeGreaterThan(5);
  expect(resources.cpu).toEqual({ shares: 2 });
  expect(resources.devices).toEqual([
    { allow: false, access: "rwm" },
    { allow: true, type: "c", major: 10, minor: 200, access: "rw" },
  ]);
});

test("nothing of the application's process reaches the sandbox's", () => {
  const given = spec({ process: { ...spec().process, selinuxLabel: "l", apparmorProfile: "p" } });
  const sandbox = sandboxSpec(given, planGuest(given, defaults, "host"), monitor, paths, 1024);
  expect(sandbox.process.args).toEqual(["/urunc/urunc-standin"]);
  expect(sandbox.process.env).toEqual(["PATH=/usr/bin"]);
  expect(sandbox.process.noNewPrivileges).toBe(true);
  expect(sandbox.process.capabilities).toEqual({
    bounding: ["CAP_CHOWN"],
    effective: ["CAP_CHOWN"],
    permitted: ["CAP_CHOWN"],
    inheritable: [],
    ambient: [],
  });
  expect(JSON.stringify(sandbox)).not.toContain("SECRET");
  expect(sandbox.process["apparmorProfile"]).toBeUndefined();
});

test("where the container is stays as it was, and the sandbox has mounts of its own", () => {
  const given = spec({ annotations: { a: "b" }, hooks: { poststop: [{ path: "/h" }] } });
  const sandbox = sandboxSpec(given, planGuest(given, defaults, "host"), monitor, paths, 1024);
  expect(sandbox.linux?.cgroupsPath).toBe("/docker/x");
  expect(sandbox.annotations).toEqual({ a: "b" });
  expect(sandbox.hooks).toEqual({ poststop: [{ path: "/h" }] });
  expect(sandbox.linux?.namespaces).toEqual([{ type: "network" }, { type: "pid" }, { type: "mount" }]);
});

test("each bind mount has a place of its own in the share, and the guest binds it where it belongs", () => {
  const given = spec({
    mounts: [
      { destination: "/proc", type: "proc", source: "proc", options: ["nosuid"] },
      { destination: "/data", type: "bind", source: "/host/data", options: ["rbind", "ro", "rprivate"] },
      { destination: "/relative", type: "none", source: "volume", options: ["bind"] },
      { destination: "/sys/fs/cgroup", type: "cgroup", source: "cgroup", options: ["ro"] },
    ],
  });
  const plan = planGuest(given, defaults, "host");
  expect(plan.machine.mounts.map((mount) => [mount.kind, mount.source, mount.destination])).toEqual([
    ["filesystem", "proc", "/proc"],
    ["share", "mounts/0", "/data"],
    ["share", "mounts/1", "/relative"],
    ["filesystem", "cgroup", "/sys/fs/cgroup"],
  ]);
  const mounts = sandboxSpec(given, plan, monitor, paths, 1024).mounts ?? [];
  const share = mounts.filter(({ destination }) => destination.startsWith("/share/"));
  expect(share.map(({ source, destination }) => [source, destination])).toEqual([
    ["/b/rootfs", "/share/rootfs"],
    ["/host/data", "/share/mounts/0"],
    ["/b/volume", "/share/mounts/1"],
  ]);
  expect(share[1]?.options).toContain("ro");
  for (const { options } of share)
    for (const word of ["nosuid", "nodev", "noexec"]) expect(options).toContain(word);
});

test("without the agent the share is the root itself, with what is bound into it", () => {
  const mounts = [{ destination: "/var/x", type: "bind", source: "/srv", options: ["rbind", "ro"] }];
  const given = spec({ mounts });
  const plan = planGuest(given, defaults, "host", "9p", { root: { kind: "share" }, direct: true });
  const [bind] = plan.binds;
  if (bind === undefined) throw new Error("the bind is missing");
  const placed = { ...plan, binds: [{ ...bind, path: "/run/x" }] };
  const shared = sandboxSpec(given, placed, monitor, paths, 1024).mounts?.filter(({ destination }) =>
    destination.startsWith("/share"),
  );
  expect(shared?.map(({ destination, source }) => [destination, source])).toEqual([
    ["/share", "/b/rootfs"],
    ["/share/run/x", "/srv"],
  ]);
});

test("a read-only root is read-only for the monitor too", () => {
  const given = spec({ root: { path: "rootfs", readonly: true } });
  const plan = planGuest(given, defaults, "host");
  expect(plan.machine.root.readOnly).toBe(true);
  const root = sandboxSpec(given, plan, monitor, paths, 1024).mounts?.find(
    ({ destination }) => destination === "/share/rootfs",
  );
  expect(root?.options).toContain("ro");
});

test("a container without a network namespace has the host's, and a user namespace is refused", () => {
  expect(planGuest(spec({ linux: {} }), defaults, "host").network).toEqual({ kind: "host" });
  const user = spec({ linux: { namespaces: [{ type: "user" }] } });
  expect(() => planGuest(user, defaults, "host")).toThrow("user namespace");
});

test("a pod's sandbox is the engine's, everything else a machine unless the configuration says otherwise", () => {
  const pause = spec({ annotations: { "io.kubernetes.cri.container-type": "sandbox" } });
  const marked = spec({ annotations: { "com.urunc.unikernel.hypervisor": "qemu" } });
  expect(guestKind(pause, "vm").kind).toBe("engine");
  const catatonit = { ...spec().process, args: ["/catatonit", "-P"] };
  const podman = { "io.container.manager": "libpod" };
  expect(guestKind(spec({ process: catatonit, annotations: podman }), "vm").kind).toBe("engine");
  expect(guestKind(spec({ process: catatonit }), "vm").kind).toBe("vm");
  expect(guestKind(spec(), "vm").kind).toBe("vm");
  expect(guestKind(spec(), "container").kind).toBe("engine");
  expect(guestKind(marked, "container").kind).toBe("vm");
});

test("the share is mounted by its way", () => {
  expect(planGuest(spec(), defaults, "host", "virtiofs").machine.root).toMatchObject({
    kind: "share",
    share: { type: "virtiofs", source: "share", options: "" },
    subdirectory: "rootfs",
  });
  const nine = planGuest(spec(), defaults, "host", "9p").machine.root;
  expect(nine.share?.type).toBe("9p");
  expect(nine.share?.options).toContain("trans=virtio");
});

test("a layer over the lower file system is a disk of its own, which is not written to either", () => {
  const root = { ...overlay.root, layer: { path: "/var/layer.erofs", type: "erofs" } } as RootWay["root"];
  const plan = planGuest(spec(), defaults, "host", "virtiofs", { root });
  expect(plan.machine.root).toMatchObject({ layer: { type: "erofs", serial: "layer" } });
  expect(plan.disks.map(({ serial, readOnly }) => [serial, readOnly])).toEqual([
    ["lower", true],
    ["layer", true],
    ["upper", false],
  ]);
});

const overlay: RootWay = {
  root: {
    kind: "overlay",
    lower: { path: "/var/root.erofs", type: "erofs" },
    upper: { kind: "file", path: "/var/upper.ext4" },
  },
};

test("a root of files is two disks, and nothing is shared but binds", () => {
  const plan = planGuest(spec(), defaults, "host", "virtiofs", overlay);
  expect(plan.machine.root).toEqual({
    kind: "overlay",
    lower: { type: "erofs", serial: "lower" },
    upper: { type: "ext4", serial: "upper", options: "" },
    readOnly: false,
  });
  const mounts = sandboxSpec(spec(), plan, monitor, paths, 1024).mounts ?? [];
  expect(mounts.filter(({ destination }) => /^.(share|disks)/.test(destination))).toEqual([
    {
      destination: "/disks/lower",
      type: "bind",
      source: "/var/root.erofs",
      options: ["bind", "ro", "nosuid", "nodev", "noexec", "private"],
    },
    {
      destination: "/disks/upper",
      type: "bind",
      source: "/var/upper.ext4",
      options: ["bind", "rw", "nosuid", "nodev", "noexec", "private"],
    },
  ]);
  const bound = spec({ mounts: [{ destination: "/data", type: "bind", source: "/d", options: ["rbind"] }] });
  const beside = planGuest(bound, defaults, "host", "virtiofs", {
    root: { ...overlay.root, upper: { kind: "tmpfs" } } as RootWay["root"],
  });
  expect(beside.machine.root.share?.type).toBe("virtiofs");
  expect(beside.disks.map(({ serial }) => serial)).toEqual(["lower"]);
  const shared = sandboxSpec(bound, beside, monitor, paths, 1024).mounts ?? [];
  expect(shared.map(({ destination }) => destination).filter((path) => path.startsWith("/share"))).toEqual([
    "/share/mounts/0",
  ]);
});

test("a root that is a block device is a node of the sandbox's, which nothing else of the host's may reach", () => {
  const snapshot: Snapshot = {
    ...{ device: "/dev/dm-3", major: 253, minor: 3, type: "ext4", readOnly: false },
    mount: { point: "/b/rootfs", type: "ext4", options: ["rw"] },
  };
  const way: RootWay = { root: { kind: "disk", path: "/dev/dm-3" }, snapshot };
  const given = spec();
  const sandbox = sandboxSpec(given, planGuest(given, defaults, "host", "9p", way), monitor, paths, 1024);
  expect(sandbox.linux?.devices).toEqual([
    { path: "/dev/net/tun", type: "c", major: 10, minor: 200, fileMode: 0o600, uid: 0, gid: 0 },
    { path: "/dev/disk-root", type: "b", major: 253, minor: 3, fileMode: 0o600, uid: 0, gid: 0 },
  ]);
  expect(sandbox.linux?.resources?.devices).toEqual([
    { allow: false, access: "rwm" },
    { allow: true, type: "c", major: 10, minor: 200, access: "rw" },
    { allow: true, type: "b", major: 253, minor: 3, access: "rw" },
  ]);
  expect(sandbox.mounts?.filter(({ source }) => source?.startsWith("/b"))).toEqual([]);
});
