import { expect, test } from "bun:test";
import { mountedAt, parseMountTable } from "./mount-table.ts";

const TABLE = `23 30 0:21 / /proc rw,nosuid shared:12 - proc proc rw
30 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw,errors=remount-ro
91 30 7:3 / /run/a\\040b\\134c rw,relatime - ext4 /dev/loop3 rw,stripe=64
92 30 7:4 /below /run/a\\040b\\134c ro,nodev shared:5 master:1 - ext2 /dev/loop4 ro
`;

test("a mount table is read with its blanks and backslashes", () => {
  const table = parseMountTable(TABLE);
  expect(table).toHaveLength(4);
  expect(table[1]).toEqual({
    major: 254,
    minor: 1,
    root: "/",
    mountPoint: "/",
    options: "rw,relatime",
    superOptions: "rw,errors=remount-ro",
    type: "ext4",
  });
  expect(table[2]?.mountPoint).toBe("/run/a b\\c");
  expect(parseMountTable("nonsense\n\n1 2 x:y / / rw - ext4 /dev/x rw\n")).toEqual([]);
});

test("of two mounts at one place the later one is seen", () => {
  const table = parseMountTable(TABLE);
  expect(mountedAt(table, "/run/a b\\c")).toMatchObject({ minor: 4, root: "/below", type: "ext2" });
  expect(mountedAt(table, "/run")).toBeUndefined();
});
