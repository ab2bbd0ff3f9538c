import {
  type AccelerationWish,
  decideAcceleration,
  type HostProbe,
  probeHost,
} from "../monitor/acceleration.ts";
import type { Finding, Group } from "./finding.ts";

/** Whether the processor can run machines, and what the configuration says of it. */
export function accelerationFindings(wish: AccelerationWish): Group {
  const findings = [judgeKvm(probeHost())];
  return { name: "Acceleration", findings: wish === "detect" ? findings : [...findings, judgeWish(wish)] };
}

/** What goes before what is seen. */
export function judgeWish(wish: Exclude<AccelerationWish, "detect">): Finding {
  const found = wish === "kvm" ? "KVM is taken to work, whatever is seen" : "machines are emulated";
  return { what: "runtime.acceleration", state: "ok", found: `${JSON.stringify(wish)}: ${found}` };
}

/** @param probe of the host */
export function judgeKvm(probe: HostProbe): Group["findings"][number] {
  const decision = decideAcceleration(probe);
  if (decision.kind === "kvm")
    return { what: "KVM", state: "ok", found: "/dev/kvm opens, and the processor has what it takes" };
  return {
    what: "KVM",
    state: "less",
    found: `${decision.reason}: machines are emulated, which is slow`,
    remedy: remedyOf(probe.kvm),
  };
}

function remedyOf(kvm: HostProbe["kvm"]): string {
  switch (kvm) {
    case "ENOENT":
      return "switch virtualization on in the firmware, and load the module: modprobe kvm_intel, or kvm_amd";
    case "EACCES":
    case "EPERM":
      return "make this user a member of the group kvm: adduser USER kvm";
    case "opens":
      return "where this host is a machine itself, have nested virtualization switched on for it";
    default:
      return "see what the kernel says of it: dmesg | grep -i kvm";
  }
}
