import { expect, test } from "bun:test";
import { statSync } from "node:fs";
import type { MountEntry } from "./mount-table.ts";
import { deviceNumber, findSnapshot, snapshotOf, wholeDeviceAt } from "./snapshot.ts";

const MOUNT: MountEntry = {
  ...{ major: 253, minor: 7, root: "/", mountPoint: "/b/rootfs", type: "ext4" },
  ...{ options: "rw,relatime", superOptions: "rw,stripe=16" },
};

test("a root is a device's where all of it is mounted there, and nowhere else", () => {
  expect(wholeDeviceAt([MOUNT], "/b/rootfs")).toBe(MOUNT);
  const others: [MountEntry[], string][] = [
    [[], "no mount"],
    [[{ ...MOUNT, major: 0, type: "overlay" }], "a mount of the type overlay"],
    [[{ ...MOUNT, root: "/images/1" }], "only the directory /images/1"],
    [[{ ...MOUNT, type: "xfs" }], "mounts no xfs"],
    [[MOUNT, { ...MOUNT, mountPoint: "/elsewhere" }], "mounted at /elsewhere too"],
    [[MOUNT, { ...MOUNT, minor: 8, mountPoint: "/b/rootfs/data" }], "below it, at /b/rootfs/data"],
  ];
  for (const [table, why] of others) expect(wholeDeviceAt(table, "/b/rootfs")).toContain(why);
});

test("what is kept of it is enough to mount it again", () => {
  const files: Record<string, string> = {
    uevent: "MAJOR=7\nMINOR=3\nDEVNAME=loop3\nDEVTYPE=disk",
    "loop/backing_file": "/images/root.ext4",
    "loop/offset": "4096",
    "loop/sizelimit": "0",
  };
  expect(snapshotOf({ ...MOUNT, type: "ext2", options: "ro" }, (name) => files[name])).toEqual({
    ...{ device: "/dev/loop3", major: 253, minor: 7, type: "ext4", readOnly: true },
    mount: { point: "/b/rootfs", type: "ext2", options: ["ro,rw,stripe=16", "ro"] },
    loop: { file: "/images/root.ext4", offset: 4096, sizeLimit: 0 },
  });
  const gone = { ...files, "loop/backing_file": "/images/root.ext4 (deleted)" } as Record<string, string>;
  const without = snapshotOf(MOUNT, (name) => gone[name]);
  expect(without.loop).toBeUndefined();
  expect(without.readOnly).toBe(false);
});

test("a directory of this machine's root file system is none", () => {
  expect(findSnapshot(import.meta.dir, [])).toMatchObject({ kind: "none" });
});

test("device numbers are as the kernel tells them of its nodes", () => {
  expect(deviceNumber(1, 3)).toBe(statSync("/dev/null").rdev);
  expect(deviceNumber(253, 300)).toBe(0xfd00 + 0x2c + 0x100000);
});
