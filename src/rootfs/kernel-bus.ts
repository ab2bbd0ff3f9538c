/**
 * Whether a kernel has no virtio on PCI, built in or as a module, and finds what its command line says of virtio-mmio.
 *
 * @param config the kernel's `.config`; undefined: nothing is known of it
 */
export function hasMmioAlone(config: string | undefined): boolean {
  if (config === undefined) return false;
  const has = (name: string, values = "y") => new RegExp(`^CONFIG_${name}=[${values}]$`, "m").test(config);
  return !(has("PCI") && has("VIRTIO_PCI", "ym")) && has("VIRTIO_MMIO") && has("VIRTIO_MMIO_CMDLINE_DEVICES");
}
