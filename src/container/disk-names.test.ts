import { expect, test } from "bun:test";
import type { Machine } from "../guest/machine.ts";
import { withDeviceNames } from "./disk-names.ts";

const MACHINE: Machine = {
  hostname: "lower",
  root: { kind: "disk", type: "ext4", serial: "root", readOnly: false },
  mounts: [],
  devices: [],
  sysctls: [],
  cgroup: [],
  maskedPaths: [],
  readonlyPaths: [],
};
const MOUNT = { destination: "/data", flags: 0, propagation: 0 };

test("disks are named by their places in the machine", () => {
  const root = {
    kind: "overlay",
    lower: { type: "erofs", serial: "lower" },
    upper: { type: "ext4", serial: "upper", options: "" },
    readOnly: false,
  } as const;
  const mounts = [{ ...MOUNT, kind: "disk", type: "ext4", source: "volume" } as const];
  const named = withDeviceNames({ ...MACHINE, root, mounts }, ["lower", "upper", "volume"]);
  expect(named.root).toEqual({
    ...root,
    lower: { type: "erofs", serial: "/dev/vda" },
    upper: { type: "ext4", serial: "/dev/vdb", options: "" },
  });
  expect(named.mounts).toEqual([{ ...MOUNT, kind: "disk", type: "ext4", source: "/dev/vdc" }]);
  expect(named.hostname).toBe("lower");
});

test("a root that is one disk is named; what is bound from the share is not", () => {
  const mounts = [{ ...MOUNT, kind: "share", source: "root" } as const];
  const named = withDeviceNames({ ...MACHINE, mounts }, ["root"]);
  expect(named.root).toMatchObject({ serial: "/dev/vda" });
  expect(named.mounts).toEqual(mounts);
});

test("what is in memory has no name", () => {
  const root = {
    kind: "overlay",
    lower: { type: "erofs", serial: "lower" },
    upper: { type: "tmpfs", options: "" },
    readOnly: true,
  } as const;
  expect(withDeviceNames({ ...MACHINE, root }, ["lower"]).root).toMatchObject({ upper: root.upper });
});
