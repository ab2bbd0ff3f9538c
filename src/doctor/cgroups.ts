import { readFileSync } from "node:fs";
import type { Caller, Finding, Group } from "./finding.ts";

/** What the sandbox's limits are set with. */
const CONTROLLERS = ["cpu", "cpuset", "memory", "pids"];
/** By version 2 without a controller of that name. */
const CONTROLLERS_V1 = [...CONTROLLERS, "devices", "freezer"];

/** The hierarchies of control groups of a host, and the controllers that they have. */
export interface Cgroups {
  kind: "v1" | "v2" | "hybrid" | "none";
  controllers: readonly string[];
}

export function cgroupFindings(caller: Caller): Group {
  const cgroups = readCgroups(read("/proc/self/mounts"), read("/sys/fs/cgroup/cgroup.controllers"));
  return { name: "Control groups", findings: [judgeCgroups(cgroups, caller)] };
}

/**
 * @param mounts the text of `/proc/self/mounts`
 * @param unified that of `cgroup.controllers` at the root of version 2
 */
export function readCgroups(mounts: string, unified: string): Cgroups {
  const entries = mounts.split("\n").map((line) => line.split(" "));
  const second = entries.some(([, , type]) => type === "cgroup2");
  const first = entries
    .filter(([, , type]) => type === "cgroup")
    .flatMap(([, , , options = ""]) => options.split(","));
  const controllers = CONTROLLERS_V1.filter((name) => first.includes(name));
  if (controllers.length > 0) return { kind: second ? "hybrid" : "v1", controllers };
  if (!second) return { kind: "none", controllers: [] };
  return {
    kind: "v2",
    controllers: unified
      .trim()
      .split(/\s+/)
      .filter((name) => name !== ""),
  };
}

export function judgeCgroups({ kind, controllers }: Cgroups, caller: Caller): Finding {
  const what = "cgroups";
  if (caller === "user")
    return {
      what,
      state: "ok",
      found: `${kind}; not used: without root machines have no limits but their size`,
    };
  if (kind === "none") {
    return {
      what,
      state: "not",
      found: "none are mounted",
      remedy: "mount -t cgroup2 cgroup2 /sys/fs/cgroup, or start the host with systemd",
    };
  }
  const missing = (kind === "v2" ? CONTROLLERS : CONTROLLERS_V1).filter(
    (name) => !controllers.includes(name),
  );
  if (missing.length === 0) return { what, state: "ok", found: `${kind}, with ${controllers.join(", ")}` };
  return {
    what,
    state: "less",
    found: `${kind}, without ${missing.join(", ")}: such limits do not hold`,
    remedy: "see what the kernel was started with: cgroup_disable= in /proc/cmdline",
  };
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
