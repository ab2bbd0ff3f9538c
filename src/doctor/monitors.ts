import type { Config } from "../config/config.ts";
import { UruncError } from "../errors.ts";
import { hostAcceleration } from "../monitor/acceleration.ts";
import { locateMonitor } from "../monitor/locate.ts";
import type { Caller, Finding, Group } from "./finding.ts";
import { kvmMonitorFindings } from "./kvm-monitors.ts";
import { outputOf, versionIn } from "./program.ts";

/** What is known of a QEMU. */
export interface QemuFacts {
  program: string;
  version?: string | undefined;
  /** What it prints of its machines and network backends. */
  machines: string;
  networks: string;
}

/** The monitors of this host. */
export function monitorFindings(config: Config, caller: Caller): Group {
  const findings = qemuFindings(config.qemu.path, caller);
  const acceleration = hostAcceleration(config.acceleration);
  return { name: "Monitors", findings: [...findings, ...kvmMonitorFindings(config, acceleration)] };
}

function qemuFindings(configured: string | undefined, caller: Caller): Finding[] {
  let program: string;
  try {
    program = locateMonitor("qemu", configured);
  } catch (error) {
    if (error instanceof UruncError) return [absentQemu(error.message)];
    throw error;
  }
  const facts = {
    program,
    version: versionIn(outputOf(program, "--version")),
    machines: outputOf(program, "-machine", "help") ?? "",
    networks: outputOf(program, "-netdev", "help") ?? "",
  };
  return judgeQemu(facts, caller);
}

function absentQemu(found: string): Finding {
  return { what: "QEMU", state: "not", found, remedy: "apt-get install qemu-system-x86" };
}

export function judgeQemu({ program, version, machines, networks }: QemuFacts, caller: Caller): Finding[] {
  const found = `${program}, version ${version ?? "unknown"}`;
  if (version === undefined) {
    return [
      { ...absentQemu(`${program} does not run`), remedy: "apt-get install --reinstall qemu-system-x86" },
    ];
  }
  const outside: Finding = {
    what: "QEMU",
    state: "not",
    found: `${found}, which is not below /usr`,
    remedy: "apt-get install qemu-system-x86, or name one below /usr with monitors.qemu.path",
  };
  const has = (name: string) => new RegExp(`^${name}\\s`, "m").test(machines);
  const machine = (name: string, state: Finding["state"], loss: string): Finding =>
    has(name)
      ? { what: `QEMU's ${name}`, state: "ok", found: "it has it" }
      : {
          what: `QEMU's ${name}`,
          state,
          found: `it lacks it: ${loss}`,
          remedy: "apt-get install qemu-system-x86",
        };
  return [
    program.startsWith("/usr/") ? { what: "QEMU", state: "ok", found } : outside,
    machine("microvm", "not", "no container runs as a machine"),
    machine("q35", "less", "images with a kernel of their own do not run"),
    /^user$/m.test(networks)
      ? { what: "QEMU's slirp", state: "ok", found: "it has user-mode networking" }
      : {
          what: "QEMU's slirp",
          state: caller === "user" ? "not" : "less",
          found: "it lacks user-mode networking: no network without root, and none of the host's",
          remedy: "apt-get install qemu-system-x86",
        },
  ];
}
