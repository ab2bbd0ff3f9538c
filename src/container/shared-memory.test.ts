import { expect, test } from "bun:test";
import type { Mount, Spec } from "../oci/runtime-spec.ts";
import { withOwnSharedMemory } from "./shared-memory.ts";

const TMPFS = { type: 0x01021994, size: 64 * 1024 * 1024 };
const EXT4 = { type: 0xef53, size: TMPFS.size };

function spec(...mounts: Mount[]): Spec {
  return {
    ociVersion: "1.0.2",
    process: { user: { uid: 0, gid: 0 }, args: ["a"], cwd: "/" },
    root: { path: "rootfs" },
    mounts,
  };
}

const proc: Mount = { destination: "/proc", type: "proc", source: "proc" };
const shm: Mount = { destination: "/dev/shm", type: "bind", source: "/host/shm", options: ["rbind"] };

test("a host's tmpfs becomes the guest's own, as large", () => {
  const { mounts } = withOwnSharedMemory(spec(proc, shm), (path) =>
    path === "/host/shm" ? TMPFS : undefined,
  );
  expect(mounts).toEqual([
    proc,
    {
      destination: "/dev/shm",
      type: "tmpfs",
      source: "shm",
      options: ["nosuid", "nodev", "noexec", "mode=1777", "size=65536k"],
    },
  ]);
});

test("read-only stays read-only", () => {
  const readOnly = { ...shm, options: ["rbind", "ro"] };
  expect(withOwnSharedMemory(spec(readOnly), () => TMPFS).mounts?.[0]?.options).toContain("ro");
});

test("a directory of another file system, another destination and another type stay as they are", () => {
  const others = [
    spec(proc, shm),
    spec({ ...shm, destination: "/dev/shm2" }),
    spec({ destination: "/dev/shm", type: "tmpfs", source: "shm", options: ["size=1k"] }),
  ];
  for (const [index, given] of others.entries()) {
    expect(withOwnSharedMemory(given, () => (index === 0 ? EXT4 : TMPFS))).toBe(given);
  }
  const unknown = spec(shm);
  expect(withOwnSharedMemory(unknown, () => undefined)).toBe(unknown);
});
