import { expect, test } from "bun:test";
import { DEFAULT_CONFIG } from "../config/config.ts";
import type { ShareWay } from "../monitor/file-server.ts";
import { MONITORS } from "../monitor/monitors.ts";
import { containerShareWay, sharedBy } from "./share-way.ts";

const virtiofs = (dialect: "qemu" | "rust"): ShareWay => ({
  kind: "virtiofs",
  server: { program: "/v", dialect },
  reason: "/v is there",
});

test("a monitor that shares no files gets copies of a few", () => {
  expect(containerShareWay(DEFAULT_CONFIG, MONITORS.firecracker)).toEqual({
    kind: "initramfs",
    reason: "firecracker shares no files",
  });
});

test("a monitor that knows virtiofs alone shares by a server that works with it, or not at all", () => {
  const way = (one: ShareWay) => sharedBy("clh", MONITORS["cloud-hypervisor"].shares, one);
  expect(way(virtiofs("rust"))).toEqual(virtiofs("rust"));
  expect(way(virtiofs("qemu"))).toEqual({
    kind: "initramfs",
    reason: "clh shares files by the virtiofsd in Rust alone, and /v is QEMU's",
  });
  expect(way({ kind: "9p", reason: "there is no virtiofsd" })).toEqual({
    kind: "initramfs",
    reason: "clh shares files by virtiofs alone, and there is no virtiofsd",
  });
});

test("QEMU knows every way", () => {
  for (const one of [virtiofs("qemu"), virtiofs("rust"), { kind: "9p", reason: "x" } as const]) {
    expect(sharedBy("qemu", MONITORS.qemu.shares, one)).toEqual(one);
  }
});
