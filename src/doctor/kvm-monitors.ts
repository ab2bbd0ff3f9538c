import { type Config, monitorConfig } from "../config/config.ts";
import { UruncError } from "../errors.ts";
import type { AccelerationDecision } from "../monitor/acceleration.ts";
import { locateMonitor } from "../monitor/locate.ts";
import type { MonitorName } from "../monitor/vm-spec.ts";
import type { Finding } from "./finding.ts";
import { outputOf, versionIn } from "./program.ts";

/** What is known of a monitor that runs on hardware KVM only. */
export interface KvmMonitorFacts {
  /** Absolute, or why there is none. */
  readonly program: string | { readonly missing: string };
  readonly version?: string | undefined;
  readonly acceleration: AccelerationDecision;
  /** The configuration has it run every machine. */
  readonly isDemanded: boolean;
}

/** A monitor, and the first version that is started as it is to be. */
interface Known {
  readonly name: Exclude<MonitorName, "qemu">;
  readonly what: string;
  readonly least: readonly [major: number, minor: number];
}

export const FIRECRACKER: Known = { name: "firecracker", what: "Firecracker", least: [1, 7] };
export const CLOUD_HYPERVISOR: Known = {
  name: "cloud-hypervisor",
  what: "Cloud Hypervisor",
  least: [51, 0],
};

/** Firecracker and Cloud Hypervisor, as far as they are there. */
export function kvmMonitorFindings(config: Config, acceleration: AccelerationDecision): Finding[] {
  return [FIRECRACKER, CLOUD_HYPERVISOR].map((known) => {
    const program = find(config, known.name);
    const version = typeof program === "string" ? versionIn(outputOf(program, "--version")) : undefined;
    return judge(known, { program, version, acceleration, isDemanded: config.monitor === known.name });
  });
}

function find(config: Config, name: MonitorName): KvmMonitorFacts["program"] {
  try {
    return locateMonitor(name, monitorConfig(config, name).path);
  } catch (error) {
    if (error instanceof UruncError) return { missing: error.message };
    throw error;
  }
}

export function judge({ name, what, least }: Known, facts: KvmMonitorFacts): Finding {
  const { program, version, acceleration, isDemanded } = facts;
  // Where it is not demanded QEMU runs what asks for it.
  const state = isDemanded ? "not" : "less";
  const install = `install ${what} ${least.join(".")} or later below /usr, or name it with monitors.${name}.path`;
  if (typeof program !== "string") {
    return isDemanded
      ? { what, state, found: program.missing, remedy: `${install}, or leave runtime.monitor away` }
      : { what, state: "ok", found: "not installed, and not needed: QEMU runs what asks for it" };
  }
  const found = `${program}, version ${version ?? "unknown"}`;
  if (!program.startsWith("/usr/")) {
    return { what, state, found: `${found}, which is not below /usr`, remedy: install };
  }
  if (version === undefined || !isAtLeast(version, least)) {
    return { what, state, found: `${found}, and not ${least.join(".")} or later`, remedy: install };
  }
  if (acceleration.kind === "kvm") return { what, state: "ok", found };
  const remedy = isDemanded
    ? 'leave runtime.monitor away, or say "qemu", which does without KVM'
    : "see what is said of KVM; QEMU runs what asks for it meanwhile";
  return { what, state, found: `${found}; it needs hardware KVM, and ${acceleration.reason}`, remedy };
}

function isAtLeast(version: string, [major, minor]: Known["least"]): boolean {
  const [ofMajor = 0, ofMinor = 0] = version.split(".").map(Number);
  return ofMajor > major || (ofMajor === major && ofMinor >= minor);
}
