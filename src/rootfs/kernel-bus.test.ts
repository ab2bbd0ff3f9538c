import { expect, test } from "bun:test";
import { hasMmioAlone } from "./kernel-bus.ts";

const MMIO = ["CONFIG_VIRTIO_MMIO=y", "CONFIG_VIRTIO_MMIO_CMDLINE_DEVICES=y"];

test("a kernel is one without virtio on PCI only where its configuration says so", () => {
  const alone = (...lines: string[]) => hasMmioAlone(`${lines.join("\n")}\n`);
  expect(alone(...MMIO)).toBe(true);
  expect(alone(...MMIO, "CONFIG_PCI=y", "# CONFIG_VIRTIO_PCI is not set")).toBe(true);
  expect(alone(...MMIO, "CONFIG_PCI=y", "CONFIG_VIRTIO_PCI=y")).toBe(false);
  expect(alone(...MMIO, "CONFIG_PCI=y", "CONFIG_VIRTIO_PCI=m")).toBe(false);
  expect(alone("CONFIG_VIRTIO_MMIO=y")).toBe(false);
  expect(alone("CONFIG_VIRTIO_MMIO=m", "CONFIG_VIRTIO_MMIO_CMDLINE_DEVICES=y")).toBe(false);
  expect(hasMmioAlone(undefined)).toBe(false);
});
