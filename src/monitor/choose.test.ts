import { expect, test } from "bun:test";
import { chooseMonitor, type MonitorCircumstances } from "./choose.ts";

const KVM = { kind: "kvm" } as const;
const NONE = { kind: "tcg", reason: "there is no /dev/kvm" } as const;
const choose = (change: Partial<MonitorCircumstances> = {}) =>
  chooseMonitor({ acceleration: KVM, missing: () => undefined, ...change });
const without = (...names: string[]) => ({
  missing: (name: string) => (names.includes(name) ? `${name} is not installed; install it` : undefined),
});

test("QEMU is the monitor where nobody says another", () => {
  expect(choose()).toEqual({
    name: "qemu",
    reason: "nothing asks for another",
    warnings: [],
    yields: false,
  });
  expect(choose({ wished: "QEMU" })).toMatchObject({ name: "qemu", warnings: [] });
});

test("what an image wishes is used where it is there and KVM works, and yields", () => {
  expect(choose({ wished: "firecracker" })).toMatchObject({ name: "firecracker", yields: true });
  for (const wished of ["cloud-hypervisor", "clh", "CLH"]) {
    expect(choose({ wished })).toMatchObject({ name: "cloud-hypervisor", yields: true });
  }
});

test.each([
  [{ wished: "hvt" }, "the image wants the monitor hvt, which is not supported: QEMU runs it"],
  [
    { wished: "firecracker", ...without("firecracker") },
    "the image wants the monitor firecracker, which is not installed below /usr: QEMU runs it",
  ],
  [
    { wished: "clh", acceleration: NONE },
    "the image wants the monitor clh, which needs hardware KVM, and there is no /dev/kvm: QEMU runs it",
  ],
] as const)("QEMU takes the place of a wish that cannot be met, with a warning: %#", (change, warning) => {
  expect(choose(change)).toMatchObject({ name: "qemu", warnings: [warning], yields: false });
});

test("what is demanded goes before what the image wishes, and does not yield", () => {
  expect(choose({ demanded: "qemu", wished: "firecracker" })).toMatchObject({ name: "qemu", warnings: [] });
  expect(choose({ demanded: "firecracker" })).toMatchObject({ name: "firecracker", yields: false });
});

test("what is demanded and not there is an error that says what is", () => {
  expect(() => choose({ demanded: "firecracker", ...without("firecracker", "cloud-hypervisor") })).toThrow(
    'firecracker is not installed; install it (runtime.monitor is "firecracker"; installed is qemu)',
  );
  const nothing = without("firecracker", "cloud-hypervisor", "qemu");
  expect(() => choose({ demanded: "firecracker", ...nothing })).toThrow("no other monitor is");
});

test("what is demanded and needs KVM is refused without it", () => {
  expect(() => choose({ demanded: "cloud-hypervisor", acceleration: NONE })).toThrow(
    'runtime.monitor is "cloud-hypervisor", which needs hardware KVM, and there is no /dev/kvm: leave it away',
  );
  expect(choose({ demanded: "qemu", acceleration: NONE }).name).toBe("qemu");
});
