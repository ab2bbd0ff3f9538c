import { expect, test } from "bun:test";
import { refuseUncarried } from "./carried.ts";

const bind = (destination: string) => ({ destination, type: "bind", source: "/x", options: ["rbind"] });
const tmpfs = { destination: "/data", type: "tmpfs", source: "tmpfs" };

test("files of the client's own and file systems of the guest's are no loss", () => {
  const mounts = [bind("/etc/resolv.conf"), bind("/etc/hosts"), bind("/etc/hostname"), tmpfs];
  expect(() => refuseUncarried({ mounts })).not.toThrow();
  expect(() => refuseUncarried({})).not.toThrow();
});

test("a volume would be lost, and is refused by its place", () => {
  expect(() => refuseUncarried({ mounts: [bind("/etc/hosts"), bind("/data")] })).toThrow(
    "the volume at /data cannot reach it: leave the volume away, or choose qemu",
  );
});
