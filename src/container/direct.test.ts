import { expect, test } from "bun:test";
import type { GuestLink, GuestRoute } from "../network/guest-network.ts";
import type { Spec } from "../oci/runtime-spec.ts";
import type { RootWay } from "../rootfs/source.ts";
import { clientFiles, directBoot, refuseForDirect } from "./direct.ts";
import { vmSpec } from "./vm.ts";

const HOSTS = { destination: "/etc/hosts", source: "hosts", type: "bind", options: ["rbind"] };
const VOLUME = { destination: "/data", source: "/srv", type: "bind", options: ["rbind"] };

const spec = (change: Partial<Spec> = {}): Spec => ({
  ociVersion: "1.0.2",
  hostname: "name",
  root: { path: "rootfs" },
  process: { user: { uid: 0, gid: 0 }, args: ["/urunit", "/app"], cwd: "/" },
  ...change,
});

const record = (way: RootWay, change: Partial<Spec> = {}) => ({
  id: "box",
  spec: spec(change),
  hostname: "host",
  program: "/usr/bin/qemu-system-x86_64",
  acceleration: { kind: "kvm" as const },
  share: { kind: "9p" as const, reason: "" },
  way: { ...way, direct: true as const },
  memoryMiB: 256,
  vcpus: 1,
  bootTimeout: 1,
  limits: [],
  noStdin: false,
});

const words = (way: RootWay, change: Partial<Spec> = {}, network = [] as GuestLink[]) =>
  directBoot(
    record(way, change),
    network.length === 0
      ? { kind: "none" }
      : { kind: "tap", links: network.map((link, n) => ({ ...link, tap: `utap${n}` })) },
  ).words.join(" ");

const DISK: RootWay = { root: { kind: "disk", path: "/r/b" } };
const READ_ONLY: RootWay = {
  root: { kind: "overlay", lower: { path: "/r/b", type: "erofs" }, upper: { kind: "tmpfs" } },
};
const INITRD: RootWay = { root: { kind: "initrd", path: "/r/i" } };
const SHARED: RootWay = { root: { kind: "share" } };

test("each way of the root is the kernel's", () => {
  expect(words(SHARED)).toStartWith("root=fs0 rw rootfstype=9p");
  expect(words(SHARED, { root: { path: "r", readonly: true } })).toStartWith("root=fs0 ro");
  expect(words(DISK)).toStartWith("root=/dev/vda rw");
  expect(words(READ_ONLY)).toStartWith("root=/dev/vda ro");
  expect(words(INITRD)).toStartWith("root=/dev/ram0 rw");
});

test("the machine has the root, and no more than that", () => {
  const machine = (way: RootWay) => vmSpec(record(way), { kind: "none" });
  expect(machine(SHARED)).toMatchObject({
    share: { path: "/share", tag: "fs0" },
    drives: [],
    initrd: "/run/urunc/initrd",
    direct: { commandsFd: 6, controlFd: 7 },
  });
  expect(machine(DISK)).toMatchObject({ share: { kind: "none" }, drives: [{ path: "/disks/root" }] });
  expect(machine(READ_ONLY).drives).toEqual([{ path: "/disks/lower", serial: "lower", readOnly: true }]);
  expect(machine(INITRD)).toMatchObject({ share: { kind: "none" }, drives: [], initrd: "/run/urunc/initrd" });
  const bare = { ...record(DISK), spec: spec({ process: { ...spec().process, args: ["/app"] } }) };
  expect(vmSpec(bare, { kind: "none" }).initrd).toBeUndefined();
  expect(machine({ ...DISK, kernel: "/r/k" }).kernel).toBe("/kernel");
});

test("the address is that of the interface with the default route, by the kernel's name for it", () => {
  const link = (name: string, address: string, routes: GuestRoute[] = []): GuestLink => ({
    name,
    mac: "02:42:ac:11:00:02",
    mtu: 1500,
    addresses: [
      { family: 6, address: "fe80::1", prefixLength: 64 },
      { family: 4, address, prefixLength: 24 },
    ],
    routes,
  });
  const route: GuestRoute = {
    ...{ family: 4, destination: "0.0.0.0", prefixLength: 0, gateway: "10.1.0.1" },
    ...{ scope: 0, metric: 0, onLink: false },
  };
  expect(words(DISK, {}, [link("a", "10.0.0.2"), link("b", "10.1.0.2", [route])])).toContain(
    " ip=10.1.0.2::10.1.0.1:255.255.255.0:name:eth1:off ",
  );
  expect(words(DISK, {}, [link("a", "10.0.0.2")])).toContain(" ip=10.0.0.2:::255.255.255.0:name:eth0:off ");
  expect(words(DISK)).not.toContain("ip=");
});

test("a volume that cannot reach the guest is refused, the client's files are not", () => {
  const refuse = (mounts: Spec["mounts"], root: "share" | "disk") => () =>
    refuseForDirect(spec({ mounts: mounts ?? [] }), root);
  expect(refuse([HOSTS, VOLUME], "disk")).toThrow("the volume at /data cannot reach");
  expect(refuse([HOSTS], "disk")).not.toThrow();
  expect(refuse([HOSTS, VOLUME], "share")).not.toThrow();
  expect(refuse([{ ...VOLUME, destination: "/dev/x" }], "share")).toThrow("the volume at /dev/x");
  expect(refuse([{ ...VOLUME, destination: "/devices" }], "share")).not.toThrow();
  expect(clientFiles(spec({ mounts: [HOSTS, VOLUME] }))).toEqual([
    { destination: "/etc/hosts", source: "hosts" },
  ]);
});
