import type { MonitorDevice } from "./vm-spec.ts";

/** Device nodes of monitors, with the numbers that Linux gives them. */
export const DEVICE_KVM: MonitorDevice = { path: "/dev/kvm", major: 10, minor: 232 };
export const DEVICE_TUN: MonitorDevice = { path: "/dev/net/tun", major: 10, minor: 200 };
