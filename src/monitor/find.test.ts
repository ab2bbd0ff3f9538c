import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DEFAULT_CONFIG } from "../config/config.ts";
import { findMonitor } from "./find.ts";

const directory = mkdtempSync(join(tmpdir(), "urunc-find-"));
afterAll(() => rmSync(directory, { recursive: true }));

const KVM = { kind: "kvm" } as const;
const withProgram = (path: string) => ({
  ...DEFAULT_CONFIG,
  firecracker: { ...DEFAULT_CONFIG.firecracker, path },
});

test("a monitor that is a program below /usr is there", () => {
  // Any program: it is not run.
  const config = withProgram("/usr/bin/env");
  expect(findMonitor(config, "firecracker", KVM)).toMatchObject({ name: "firecracker", yields: true });
  expect(findMonitor({ ...config, monitor: "firecracker" }, undefined, KVM).name).toBe("firecracker");
});

test("one that the sandbox has no place for, or that is no program, is not", () => {
  const elsewhere = join(directory, "firecracker");
  writeFileSync(elsewhere, "", { mode: 0o755 });
  for (const [path, sentence] of [
    [elsewhere, `${elsewhere} is not below /usr`],
    ["/usr/none", "the configured path of firecracker, /usr/none, is not an absolute path of a program"],
  ] as const) {
    expect(findMonitor(withProgram(path), "firecracker", KVM)).toMatchObject({ name: "qemu", yields: false });
    expect(() => findMonitor({ ...withProgram(path), monitor: "firecracker" }, undefined, KVM)).toThrow(
      sentence,
    );
  }
});
