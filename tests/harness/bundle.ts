import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { stringifyExactly } from "../../src/oci/exact-json.ts";
import type { Seccomp } from "../../src/oci/seccomp.ts";
import { succeed } from "./command.ts";

/** The parts of `config.json` that tests change; the rest stays as `runc spec` has it. */
export interface BundleConfig {
  ociVersion: string;
  process: {
    terminal?: boolean;
    consoleSize?: { height: number; width: number };
    user: { uid: number; gid: number; additionalGids?: number[]; umask?: number };
    args: string[];
    env: string[];
    cwd: string;
    capabilities: Record<string, string[]>;
    rlimits?: { type: string; hard: number; soft: number }[];
    noNewPrivileges?: boolean;
  };
  root: { path: string; readonly?: boolean };
  hostname?: string;
  mounts: { destination: string; type?: string; source?: string; options?: string[] }[];
  annotations?: Record<string, string>;
  hooks?: Record<string, { path: string; args?: string[] }[]>;
  linux: {
    cgroupsPath: string;
    resources: {
      devices?: { allow: boolean; access: string; type?: string; major?: number; minor?: number }[];
      memory?: { limit?: number };
      cpu?: { quota?: number; period?: number };
    };
    namespaces: { type: string; path?: string }[];
    maskedPaths: string[];
    readonlyPaths: string[];
    seccomp?: Seccomp;
  };
}

/** An OCI bundle on disk. */
export interface Bundle {
  readonly directory: string;
  readonly rootfs: string;
  readonly config: BundleConfig;
  remove(): void;
}

/** How a bundle differs from the default. */
export interface BundleOptions {
  /** Also the name of its cgroup. */
  readonly id: string;
  /** Where the bundle's directory is made. */
  readonly parent: string;
  /** The bundle's directory; default the id. */
  readonly name?: string;
  readonly args: readonly string[];
  /** Changes the configuration before it is written. */
  readonly change?: (config: BundleConfig) => void;
}

/** Makes a bundle whose root is that of a docker-archive. */
export async function makeBundle(archive: string, options: BundleOptions): Promise<Bundle> {
  const directory = join(options.parent, options.name ?? options.id);
  const rootfs = join(directory, "rootfs");
  mkdirSync(rootfs, { recursive: true });
  await unpackArchive(archive, rootfs);
  const config = defaultConfig(options.id, options.args);
  options.change?.(config);
  writeFileSync(join(directory, "config.json"), stringifyExactly(config));
  return { directory, rootfs, config, remove: () => rmSync(directory, { recursive: true, force: true }) };
}

/** Unpacks the layers of the first image of a docker-archive. Images of tests delete nothing: no whiteouts. */
async function unpackArchive(archive: string, rootfs: string): Promise<void> {
  const manifest = JSON.parse(await succeed(["tar", "-xOf", archive, "manifest.json"])) as {
    Layers: string[];
  }[];
  for (const layer of manifest[0]?.Layers ?? []) {
    await succeed(["sh", "-c", 'tar -xOf "$1" "$2" | tar -xf - -C "$3"', "sh", archive, layer, rootfs]);
  }
}

function defaultConfig(id: string, args: readonly string[]): BundleConfig {
  const capabilities = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"];
  return {
    ociVersion: "1.0.2",
    process: {
      terminal: false,
      user: { uid: 0, gid: 0 },
      args: [...args],
      env: ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"],
      cwd: "/",
      capabilities: { bounding: capabilities, effective: capabilities, permitted: capabilities },
      rlimits: [{ type: "RLIMIT_NOFILE", hard: 1024, soft: 1024 }],
      noNewPrivileges: true,
    },
    root: { path: "rootfs", readonly: false },
    hostname: "bundle",
    mounts: [
      { destination: "/proc", type: "proc", source: "proc" },
      {
        destination: "/dev",
        type: "tmpfs",
        source: "tmpfs",
        options: ["nosuid", "strictatime", "mode=755", "size=65536k"],
      },
      {
        destination: "/dev/pts",
        type: "devpts",
        source: "devpts",
        options: ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
      },
      {
        destination: "/dev/shm",
        type: "tmpfs",
        source: "shm",
        options: ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"],
      },
      {
        destination: "/dev/mqueue",
        type: "mqueue",
        source: "mqueue",
        options: ["nosuid", "noexec", "nodev"],
      },
      { destination: "/sys", type: "sysfs", source: "sysfs", options: ["nosuid", "noexec", "nodev", "ro"] },
      {
        destination: "/sys/fs/cgroup",
        type: "cgroup",
        source: "cgroup",
        options: ["nosuid", "noexec", "nodev", "relatime", "ro"],
      },
    ],
    linux: {
      cgroupsPath: `/${id}`,
      resources: { devices: [{ allow: false, access: "rwm" }] },
      namespaces: ["pid", "network", "ipc", "uts", "mount"].map((type) => ({ type })),
      maskedPaths: ["/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware"],
      readonlyPaths: ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
    },
  };
}

/** Reads a bundle's configuration again and writes it changed. */
export function changeConfig(bundle: Bundle, change: (config: BundleConfig) => void): void {
  const path = join(bundle.directory, "config.json");
  const config = JSON.parse(readFileSync(path, "utf8")) as BundleConfig;
  change(config);
  writeFileSync(path, JSON.stringify(config, undefined, 2));
}
