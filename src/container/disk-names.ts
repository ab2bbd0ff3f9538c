import type { GuestRoot, Machine } from "../guest/machine.ts";

/**
 * A machine whose disks are named by their places, for monitors that give them no serial: the kernel names virtio disks in
 * the order in which the machine has them.
 *
 * @param serials of all disks, in that order
 */
export function withDeviceNames(machine: Machine, serials: readonly string[]): Machine {
  const named = (serial: string) => {
    const place = serials.indexOf(serial);
    return place < 0 ? serial : `/dev/vd${String.fromCharCode("a".charCodeAt(0) + place)}`;
  };
  return {
    ...machine,
    root: withSerials(machine.root, named),
    mounts: machine.mounts.map((mount) =>
      mount.kind === "disk" ? { ...mount, source: named(mount.source) } : mount,
    ),
  };
}

/** Of every kind: the root itself is a disk, or is made of some. */
function withSerials(root: GuestRoot, named: (serial: string) => string): GuestRoot {
  return JSON.parse(JSON.stringify(root), (key, value) =>
    key === "serial" && typeof value === "string" ? named(value) : value,
  ) as GuestRoot;
}
