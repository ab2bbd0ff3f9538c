import { cloudHypervisor } from "./cloud-hypervisor.ts";
import { firecracker } from "./firecracker.ts";
import { qemu } from "./qemu.ts";
import type { Monitor, MonitorName } from "./vm-spec.ts";

/** Every monitor, by its name. */
export const MONITORS: Readonly<Record<MonitorName, Monitor>> = {
  qemu,
  firecracker,
  "cloud-hypervisor": cloudHypervisor,
};

export const MONITOR_NAMES = Object.keys(MONITORS) as MonitorName[];

/** Of the state directory of an earlier version, which had one monitor. */
export function recordedMonitor(name: MonitorName | undefined): Monitor {
  return MONITORS[name ?? "qemu"];
}
