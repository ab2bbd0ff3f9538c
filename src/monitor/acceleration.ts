import { closeSync, constants, openSync, readFileSync } from "node:fs";

/** Whether the processor can run a machine; if not, why, as the end of a sentence. */
export type AccelerationDecision =
  | { readonly kind: "kvm" }
  | { readonly kind: "tcg"; readonly reason: string };

/** What is known of the host. */
export interface HostProbe {
  /** `/dev/kvm` opens for reading and writing, or the error's code (`ENOENT`). */
  readonly kvm: "opens" | string;
  /** The `flags` of `/proc/cpuinfo`. */
  readonly cpuFlags: ReadonlySet<string>;
}

/** Whether to look at the host, or to believe what its configuration says. */
export type AccelerationWish = "detect" | "kvm" | "emulation";

/** Looks at this host, unless its configuration knows better. */
export function hostAcceleration(wish: AccelerationWish): AccelerationDecision {
  if (wish === "kvm") return { kind: "kvm" };
  if (wish === "emulation") return { kind: "tcg", reason: 'runtime.acceleration is "emulation"' };
  return decideAcceleration(probeHost());
}

export function probeHost(): HostProbe {
  return { kvm: probeKvm(), cpuFlags: parseCpuFlags(readCpuInfo()) };
}

/**
 * KVM if the device opens and the processor has the instructions. The device alone proves nothing: there are hosts
 * whose device opens but which only run paravirtualised guests, where a stock kernel hangs without a word.
 */
export function decideAcceleration(probe: HostProbe): AccelerationDecision {
  if (probe.kvm === "ENOENT") return { kind: "tcg", reason: "there is no /dev/kvm" };
  if (probe.kvm !== "opens") return { kind: "tcg", reason: `/dev/kvm does not open (${probe.kvm})` };
  if (!probe.cpuFlags.has("vmx") && !probe.cpuFlags.has("svm")) {
    return { kind: "tcg", reason: "the processor advertises neither vmx nor svm" };
  }
  return { kind: "kvm" };
}

/** The flags of the first processor in the text of `/proc/cpuinfo`. */
export function parseCpuFlags(cpuInfo: string): ReadonlySet<string> {
  const line = /^flags\s*:(.*)$/m.exec(cpuInfo)?.[1] ?? "";
  return new Set(line.split(/\s+/).filter((flag) => flag !== ""));
}

function probeKvm(): string {
  try {
    closeSync(openSync("/dev/kvm", constants.O_RDWR));
    return "opens";
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? "unknown error";
  }
}

function readCpuInfo(): string {
  try {
    return readFileSync("/proc/cpuinfo", "utf8");
  } catch {
    return "";
  }
}
