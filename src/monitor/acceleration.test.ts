import { expect, test } from "bun:test";
import { decideAcceleration, hostAcceleration, parseCpuFlags } from "./acceleration.ts";

const flags = (...names: string[]) => new Set(names);

test.each(["vmx", "svm"])("a device that opens and %s are KVM", (flag) => {
  expect(decideAcceleration({ kvm: "opens", cpuFlags: flags("fpu", flag) })).toEqual({ kind: "kvm" });
});

test("a device that opens proves nothing without the processor's instructions", () => {
  expect(
    decideAcceleration({ kvm: "opens", cpuFlags: flags("fpu", "vmx_flexpriority", "hypervisor") }),
  ).toEqual({
    kind: "tcg",
    reason: "the processor advertises neither vmx nor svm",
  });
});

test.each([
  ["ENOENT", "there is no /dev/kvm"],
  ["EACCES", "/dev/kvm does not open (EACCES)"],
  ["unknown error", "/dev/kvm does not open (unknown error)"],
])("%s is emulation, with the reason", (kvm, reason) => {
  expect(decideAcceleration({ kvm, cpuFlags: flags("vmx") })).toEqual({ kind: "tcg", reason });
});

test("who knows better than what can be seen of the host is believed", () => {
  expect(hostAcceleration("kvm")).toEqual({ kind: "kvm" });
  expect(hostAcceleration("emulation")).toEqual({
    kind: "tcg",
    reason: 'runtime.acceleration is "emulation"',
  });
});

test("the flags are those of the first processor", () => {
  const cpuInfo =
    "processor\t: 0\nvendor_id\t: GenuineIntel\nflags\t\t: fpu  vme vmx\nvmx flags\t: vnmi svm\nbugs\t\t: x\n\n" +
    "processor\t: 1\nflags\t\t: fpu svm\n";
  expect([...parseCpuFlags(cpuInfo)]).toEqual(["fpu", "vme", "vmx"]);
});

test.each(["", "processor : 0\n", "flags\t\t:\n", "flags :   \n"])("%j has none", (cpuInfo) => {
  expect(parseCpuFlags(cpuInfo).size).toBe(0);
});
