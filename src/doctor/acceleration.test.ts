import { expect, test } from "bun:test";
import { judgeKvm, judgeWish } from "./acceleration.ts";

const judge = (kvm: string, ...flags: string[]) => judgeKvm({ kvm, cpuFlags: new Set(flags) });

test("KVM is there only where the device opens and the processor has the instructions", () => {
  expect(judge("opens", "vmx")).toMatchObject({ state: "ok" });
  expect(judge("opens", "svm").remedy).toBeUndefined();
  expect(judge("opens")).toMatchObject({
    state: "less",
    found: expect.stringContaining("neither vmx nor svm"),
  });
});

test("what the configuration says of KVM is named", () => {
  expect(judgeWish("kvm").found).toStartWith('"kvm": KVM is taken to work');
  expect(judgeWish("emulation").found).toContain("emulated");
});

test("each reason has its own remedy", () => {
  expect(judge("ENOENT", "vmx").remedy).toContain("modprobe kvm_intel");
  expect(judge("EACCES", "vmx").remedy).toContain("adduser USER kvm");
  expect(judge("opens").remedy).toContain("nested virtualization");
  expect(judge("EIO", "vmx").remedy).toContain("dmesg");
});
