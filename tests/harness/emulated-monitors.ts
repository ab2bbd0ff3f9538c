import {
  copyFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { ensureMonitorTree } from "../../src/monitor/tree.ts";
import type { MonitorName } from "../../src/monitor/vm-spec.ts";
import { succeed } from "./command.ts";
import { buildVsockDevice } from "./vsock-device.ts";

const ROOT = join(import.meta.dir, "../..");
const SHARE = join(ROOT, "dist/share/urunc");
/** Where the runtime keeps monitors' trees. */
const TREES = "/var/lib/urunc/monitors";

/** Firecracker and Cloud Hypervisor as `emulated-monitor.ts` has them, installed, and a configuration by which they are used. */
export interface EmulatedMonitors {
  /** An environment in which urunc has them, and takes KVM to work; with a monitor named, that runs every container. */
  environment(monitor?: MonitorName, virtiofsd?: string): Record<string, string>;
  remove(): void;
}

/** Compiles and installs them below `/usr`, where monitors must be. */
export async function openEmulatedMonitors(): Promise<EmulatedMonitors> {
  mkdirSync(join(ROOT, "build"), { recursive: true });
  const share = mkdtempSync(join(ROOT, "build/emulated-"));
  const programs = mkdtempSync("/usr/local/lib/urunc-test-");
  const remove = () => {
    for (const directory of [share, programs, ...treesOf(programs)]) {
      rmSync(directory, { recursive: true, force: true });
    }
  };
  try {
    for (const file of ["vmlinux", "urunc-standin", "initramfs.cpio", "kernel.json", "kernel.config"]) {
      link(join(SHARE, file), join(share, file));
    }
    const tree = await ensureMonitorTree({
      program: realpathSync("/usr/bin/qemu-system-x86_64"),
      cacheRoot: join(share, "trees"),
    });
    renameSync(tree, join(share, "qemu"));
    rmSync(join(share, "trees"), { recursive: true });
    await buildVsockDevice(join(share, "vsock-device"));
    await succeed([
      ...[process.execPath, "build", "--compile", `--outfile=${join(programs, "firecracker")}`],
      join(import.meta.dir, "emulated-monitor.ts"),
    ]);
    linkSync(join(programs, "firecracker"), join(programs, "cloud-hypervisor"));
  } catch (error) {
    remove();
    throw error;
  }
  return {
    environment(monitor, virtiofsd) {
      const config = join(share, `${crypto.randomUUID()}.toml`);
      writeFileSync(
        config,
        `[runtime]
${monitor === undefined ? "" : `monitor = ${JSON.stringify(monitor)}`}
share = ${JSON.stringify(share)}
acceleration = "kvm"
[monitors.firecracker]
path = ${JSON.stringify(join(programs, "firecracker"))}
default_memory_mb = 512
[extra_binaries.virtiofsd]
${virtiofsd === undefined ? "" : `path = ${JSON.stringify(virtiofsd)}`}
[monitors.cloud-hypervisor]
path = ${JSON.stringify(join(programs, "cloud-hypervisor"))}
default_memory_mb = 512
`,
      );
      return { ...(process.env as Record<string, string>), URUNC_CONFIG_FILE: config };
    },
    remove,
  };
}

/** The runtime's copies of what is in a directory, each with the entry that leads to it. */
function treesOf(programs: string): string[] {
  if (!existsSync(TREES)) return [];
  const entries = readdirSync(TREES).filter((name) => name.endsWith(".json"));
  return entries.flatMap((name) => {
    const manifest = JSON.parse(readFileSync(join(TREES, name), "utf8"));
    const isOurs = manifest.programs.some((path: string) => path.startsWith(`${programs}/`));
    return isOurs ? [join(TREES, name), join(TREES, manifest.key)] : [];
  });
}

function link(from: string, to: string): void {
  try {
    linkSync(from, to);
  } catch {
    copyFileSync(from, to);
  }
}
