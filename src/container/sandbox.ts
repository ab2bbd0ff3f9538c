import { isAbsolute, join } from "node:path";
import type { MonitorPlan } from "../monitor/vm-spec.ts";
import { MS_RDONLY, parseMountOptions } from "../oci/mount-options.ts";
import type { Mount, Spec } from "../oci/runtime-spec.ts";
import type { MachineDisk } from "../rootfs/source.ts";
import type { GuestPlan } from "./guest-plan.ts";
import { sandboxResources } from "./resources.ts";

/** Places inside the sandbox. */
export const SANDBOX = {
  /** The guest's files and the stand-in, read-only. */
  files: "/urunc",
  /** What is exported to the guest. */
  share: "/share",
  /** Disks of the machine, each under its serial. */
  disks: "/disks",
  /** The kernel that the image brings. */
  kernel: "/kernel",
  /** The stand-in's directory, the only place that can be written to besides /tmp. */
  run: "/run/urunc",
} as const;

/** Host paths that the sandbox is made of. */
export interface SandboxPaths {
  /** The caller's bundle: relative sources are relative to it. */
  bundle: string;
  /** The container's root file system. */
  containerRootfs: string;
  /** The sandbox's own root: empty directories. */
  rootfs: string;
  /** Becomes `/run/urunc`. */
  vm: string;
  /** Becomes `/urunc`. */
  files: string;
  /** The monitor's tree: its `usr` becomes `/usr`. */
  monitorTree: string;
}

/** What must be in the sandbox's root before the engine mounts over it. */
export interface SandboxRoot {
  directories: string[];
  /** Links into `/usr`, as the host's own layout has them. */
  links: [path: string, target: string][];
}

export const SANDBOX_ROOT: SandboxRoot = {
  directories: ["usr", "urunc", "share/rootfs", "share/mounts", "disks", "run/urunc", "dev", "proc", "tmp"],
  links: [
    ["lib", "usr/lib"],
    ["lib64", "usr/lib64"],
    ["bin", "usr/bin"],
    ["sbin", "usr/sbin"],
  ],
};

const NOT_FOR_EXECUTION = ["nosuid", "nodev", "noexec"];

/** Where the engine makes the terminals of stand-ins: the first one's, and those of `exec`. */
const TERMINALS: Mount = {
  destination: "/dev/pts",
  type: "devpts",
  source: "devpts",
  options: ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"],
};

/**
 * Rewrites a container's specification as that of the sandbox that holds its monitor. What says *where* the
 * container is (namespaces, cgroup, hooks, annotations, terminal) stays; what says *what* runs becomes the
 * stand-in and the monitor, with the fewest rights.
 *
 * @param openFiles the most files that the monitor may have open
 */
export function sandboxSpec(
  spec: Spec,
  plan: GuestPlan,
  monitor: MonitorPlan,
  paths: SandboxPaths,
  openFiles: number,
): Spec {
  const capabilities = [...monitor.capabilities];
  const devices = sandboxDevices(plan, monitor);
  return {
    ociVersion: spec.ociVersion,
    process: {
      terminal: spec.process.terminal === true,
      ...(spec.process.consoleSize ? { consoleSize: spec.process.consoleSize } : {}),
      user: { uid: 0, gid: 0 },
      args: [join(SANDBOX.files, "urunc-standin")],
      env: ["PATH=/usr/bin"],
      cwd: "/",
      capabilities: {
        bounding: capabilities,
        effective: capabilities,
        permitted: capabilities,
        inheritable: [],
        ambient: [],
      },
      rlimits: [
        { type: "RLIMIT_CORE", soft: 0, hard: 0 },
        // Each file that the guest has open is one that the monitor has open.
        { type: "RLIMIT_NOFILE", soft: openFiles, hard: openFiles },
      ],
      noNewPrivileges: true,
      ...(spec.process.oomScoreAdj === undefined ? {} : { oomScoreAdj: spec.process.oomScoreAdj }),
    },
    root: { path: paths.rootfs, readonly: true },
    ...(spec.hostname ? { hostname: spec.hostname } : {}),
    mounts: [
      ...monitorMounts(paths),
      TERMINALS,
      ...shareMounts(spec, plan, paths),
      ...plan.disks.filter(({ device }) => device === undefined).map(diskMount),
      ...kernelMounts(plan),
    ],
    ...(spec.hooks ? { hooks: spec.hooks } : {}),
    ...(spec.annotations ? { annotations: spec.annotations } : {}),
    linux: {
      namespaces: withMountNamespace(spec.linux?.namespaces ?? []),
      ...(spec.linux?.cgroupsPath ? { cgroupsPath: spec.linux.cgroupsPath } : {}),
      ...(spec.linux?.["intelRdt"] ? { intelRdt: spec.linux["intelRdt"] } : {}),
      resources: sandboxResources(spec.linux?.resources, plan.size.memoryMiB, monitor.overheadMiB, devices),
      devices: devices.map((device) => ({ ...device, fileMode: 0o600, uid: 0, gid: 0 })),
      maskedPaths: [
        "/proc/kcore",
        "/proc/keys",
        "/proc/latency_stats",
        "/proc/timer_list",
        "/proc/sched_debug",
      ],
      readonlyPaths: ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
    },
  };
}

/** What the monitor opens of the sandbox's `/dev`. */
function sandboxDevices({ disks }: GuestPlan, { devices }: MonitorPlan): SandboxDevice[] {
  return [
    ...devices.map(({ path, major, minor }) => ({ path, type: "c" as const, major, minor })),
    ...disks.flatMap((disk) =>
      disk.device ? [{ path: diskPlace(disk), type: "b" as const, ...disk.device }] : [],
    ),
  ];
}

interface SandboxDevice {
  path: string;
  type: "b" | "c";
  major: number;
  minor: number;
}

/** Where a disk is in the sandbox. A device has its node where the sandbox has those of others. */
export function diskPlace({ serial, device }: Pick<MachineDisk, "serial" | "device">): string {
  return device === undefined ? join(SANDBOX.disks, serial) : `/dev/disk-${serial}`;
}

function monitorMounts(paths: SandboxPaths): Mount[] {
  return [
    { destination: "/proc", type: "proc", source: "proc", options: NOT_FOR_EXECUTION },
    {
      destination: "/dev",
      type: "tmpfs",
      source: "tmpfs",
      options: ["nosuid", "noexec", "strictatime", "mode=755", "size=64k"],
    },
    {
      destination: "/tmp",
      type: "tmpfs",
      source: "tmpfs",
      options: [...NOT_FOR_EXECUTION, "mode=1777", "size=1m"],
    },
    {
      destination: "/usr",
      type: "bind",
      source: join(paths.monitorTree, "usr"),
      options: ["bind", "ro", "nosuid", "nodev", "private"],
    },
    {
      destination: SANDBOX.files,
      type: "bind",
      source: paths.files,
      options: ["bind", "ro", "nosuid", "nodev", "private"],
    },
    {
      destination: SANDBOX.run,
      type: "bind",
      source: paths.vm,
      options: ["bind", ...NOT_FOR_EXECUTION, "private"],
    },
  ];
}

/**
 * The container's files. Nothing in them can be run, be a device or raise privileges on the host's side: whatever
 * the guest makes there, the monitor can only read and write it.
 */
function shareMounts(spec: Spec, plan: GuestPlan, paths: SandboxPaths): Mount[] {
  const rootfs: Mount = {
    destination: plan.sharesRoot ? SANDBOX.share : join(SANDBOX.share, "rootfs"),
    type: "bind",
    source: paths.containerRootfs,
    options: ["rbind", spec.root.readonly ? "ro" : "rw", ...NOT_FOR_EXECUTION, "rprivate"],
  };
  const binds = plan.binds.map(({ path, mount }): Mount => {
    const options = mount.options ?? [];
    const { flags, recursive } = parseMountOptions(options);
    const source = mount.source ?? "";
    return {
      destination: join(SANDBOX.share, path),
      type: "bind",
      source: isAbsolute(source) ? source : join(paths.bundle, source),
      options: [
        options.includes("rbind") ? "rbind" : "bind",
        flags & MS_RDONLY ? "ro" : "rw",
        // What the host has mounted below, too.
        ...(recursive && flags & MS_RDONLY ? ["rro"] : []),
        ...NOT_FOR_EXECUTION,
        ...options.filter((option) => /^r?(private|slave|shared|unbindable)$/.test(option)),
      ],
    };
  });
  return plan.machine.root.kind === "share" ? [rootfs, ...binds] : binds;
}

function kernelMounts({ kernel }: GuestPlan): Mount[] {
  if (kernel === undefined) return [];
  const options = ["bind", "ro", ...NOT_FOR_EXECUTION, "private"];
  return [{ destination: SANDBOX.kernel, type: "bind", source: kernel, options }];
}

function diskMount(disk: MachineDisk): Mount {
  return {
    destination: diskPlace(disk),
    type: "bind",
    source: disk.path,
    options: ["bind", disk.readOnly ? "ro" : "rw", ...NOT_FOR_EXECUTION, "private"],
  };
}

/** The sandbox has mounts of its own whatever the container has; the rest are the container's. */
function withMountNamespace(
  namespaces: { type: string; path?: string }[],
): { type: string; path?: string }[] {
  return [...namespaces.filter(({ type }) => type !== "mount"), { type: "mount" }];
}
