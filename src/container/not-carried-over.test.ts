import { expect, test } from "bun:test";
import type { Spec } from "../oci/runtime-spec.ts";
import { refuseNotCarriedOver } from "./not-carried-over.ts";

function spec(more: object): Spec {
  return {
    ociVersion: "1.2.0",
    process: { user: { uid: 0, gid: 0 }, args: ["/app"], cwd: "/" },
    root: { path: "rootfs" },
    ...more,
  };
}

function process(more: object): object {
  return { process: { ...spec({}).process, ...more } };
}

function mounted(more: object): object {
  return { mounts: [{ destination: "/data", type: "bind", source: "/d", ...more }] };
}

test.each([
  ["process.scheduler", process({ scheduler: { policy: "SCHED_FIFO" } })],
  ["process.ioPriority", process({ ioPriority: { class: "IOPRIO_CLASS_IDLE", priority: 0 } })],
  ["process.execCPUAffinity", process({ execCPUAffinity: { initial: "0" } })],
  ["linux.personality", { linux: { personality: { domain: "LINUX32" } } }],
  ["linux.timeOffsets", { linux: { timeOffsets: { boottime: { secs: 1 } } } }],
  ["linux.netDevices", { linux: { netDevices: { eth1: {} } } }],
  ["linux.memoryPolicy", { linux: { memoryPolicy: { mode: "MPOL_BIND" } } }],
  ["the mapping of owners at /data", mounted({ uidMappings: [{ containerID: 0, hostID: 1000, size: 1 }] })],
  ["the mapping of owners at /data", mounted({ options: ["rbind", "ridmap"] })],
])("%s is refused by its name", (name, more) => {
  expect(() => refuseNotCarriedOver(spec(more))).toThrow(
    `${name} cannot be carried over to a virtual machine`,
  );
});

test.each([
  ["nothing of it", {}],
  ["what is empty", { ...process({ ioPriority: null }), linux: { timeOffsets: {}, netDevices: {} } }],
  ["the personality that each guest has", { linux: { personality: { domain: "LINUX" } } }],
  ["a mount without a mapping", mounted({ options: ["rbind", "rro"], uidMappings: [] })],
])("%s is no reason", (_, more) => {
  expect(() => refuseNotCarriedOver(spec(more))).not.toThrow();
});
