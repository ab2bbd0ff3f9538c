import { expect, test } from "bun:test";
import { CLOUD_HYPERVISOR, FIRECRACKER, judge, type KvmMonitorFacts } from "./kvm-monitors.ts";

const FACTS: KvmMonitorFacts = {
  program: "/usr/bin/firecracker",
  version: "1.7.0",
  acceleration: { kind: "kvm" },
  isDemanded: false,
};
const of = (change: Partial<KvmMonitorFacts> = {}) => judge(FIRECRACKER, { ...FACTS, ...change });
const MISSING = { program: { missing: "firecracker is not installed; install it" }, version: undefined };
const NO_KVM = { acceleration: { kind: "tcg", reason: "there is no /dev/kvm" } } as const;

test("one that is there, new enough and has KVM is named with its version", () => {
  expect(of()).toEqual({
    what: "Firecracker",
    state: "ok",
    found: "/usr/bin/firecracker, version 1.7.0",
  });
});

test.each([
  ["1.6.9", "less"],
  ["1.7", "ok"],
  ["1.14.1", "ok"],
  ["2.0.0", "ok"],
  [undefined, "less"],
] as const)("version %s is %s", (version, state) => {
  expect(of({ version }).state).toBe(state);
});

test("Cloud Hypervisor's versions are other numbers", () => {
  const version = (text: string) => judge(CLOUD_HYPERVISOR, { ...FACTS, version: text }).state;
  expect([version("50.2"), version("51.0"), version("53.0")]).toEqual(["less", "ok", "ok"]);
});

test("what nobody demands is not missed, and what is demanded is", () => {
  expect(of(MISSING)).toMatchObject({ state: "ok", found: expect.stringContaining("QEMU runs") });
  const demanded = of({ ...MISSING, isDemanded: true });
  expect(demanded).toMatchObject({ state: "not", found: "firecracker is not installed; install it" });
  expect(demanded.remedy).toContain("install Firecracker 1.7 or later");
});

test("without KVM it runs nothing, which matters where it is demanded", () => {
  expect(of(NO_KVM)).toMatchObject({
    state: "less",
    found: expect.stringContaining("it needs hardware KVM, and there is no /dev/kvm"),
  });
  expect(of({ ...NO_KVM, isDemanded: true })).toMatchObject({
    state: "not",
    remedy: expect.stringContaining("leave runtime.monitor away"),
  });
});

test("one where the sandbox has no place for it cannot be used", () => {
  expect(of({ program: "/opt/firecracker" })).toMatchObject({
    state: "less",
    found: expect.stringContaining("not below /usr"),
  });
});
