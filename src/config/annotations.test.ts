import { expect, test } from "bun:test";
import { CONFIG_PREFIX, configOfContainer, PER_CONTAINER } from "./annotations.ts";
import { DEFAULT_CONFIG } from "./config.ts";

const of = (annotations: Record<string, string>) =>
  configOfContainer(
    DEFAULT_CONFIG,
    Object.fromEntries(Object.entries(annotations).map(([key, value]) => [`${CONFIG_PREFIX}${key}`, value])),
  );

test("who creates a container decides its size, its share and its time to boot", () => {
  const config = of({
    "monitors.qemu.default_memory_mb": "512",
    "monitors.qemu.default_vcpus": "2",
    "monitors.qemu.share": "9p",
    "monitors.firecracker.default_memory_mb": "128",
    "runtime.monitor": "firecracker",
    "runtime.boot_timeout_ms": "90000",
    "rootfs.way": "image",
  });
  expect(config.qemu).toEqual({ memoryMiB: 512, vcpus: 2, share: "9p" });
  expect(config.bootTimeout).toBe(90_000);
  expect(config.monitor).toBe("firecracker");
  expect(config.firecracker.memoryMiB).toBe(128);
  expect(config.rootfs).toEqual({ ...DEFAULT_CONFIG.rootfs, way: "image" });
  expect(DEFAULT_CONFIG.qemu).toEqual({ memoryMiB: 256, vcpus: 1 });
});

test("a value out of bounds, of the wrong kind or in another notation is refused", () => {
  for (const memory of ["1", "-512", "512m", "0x200", "1e3", "", "99999999"]) {
    expect(() => of({ "monitors.qemu.default_memory_mb": memory })).toThrow("must be a whole number from 40");
  }
  expect(() => of({ "monitors.qemu.share": "nfs" })).toThrow('must be "virtiofs" or "9p"');
});

test("programs, places and what holds for the host are the host's alone", () => {
  expect(
    PER_CONTAINER.some((key) => /path|engine|options|share$/.test(key) && !key.startsWith("monitors.")),
  ).toBe(false);
  for (const key of [
    ...["runtime.engine", "runtime.share", "runtime.unannotated", "monitors.qemu.path", "log.level"],
    ...["runtime.acceleration", "monitors.firecracker.path"],
    ...["rootfs.directory", "rootfs.cache_mb"],
    ...["extra_binaries.virtiofsd.path", "extra_binaries.virtiofsd.options"],
  ]) {
    expect(() => of({ [key]: "/x" })).toThrow(`only the host's configuration decides ${key}`);
  }
});

test("an unknown key is refused with what was probably meant", () => {
  expect(() => of({ "monitors.qemu.default_vcpu": "2" })).toThrow(
    "did you mean monitors.qemu.default_vcpus?",
  );
});

test("other annotations change nothing", () => {
  expect(configOfContainer(DEFAULT_CONFIG, { "com.urunc.unikernel.binary": "/k" })).toBe(DEFAULT_CONFIG);
  expect(configOfContainer(DEFAULT_CONFIG, undefined)).toBe(DEFAULT_CONFIG);
});
