import { UruncError } from "../errors.ts";
import type { PublishedPort } from "../network/published.ts";
import { DEVICE_KVM, DEVICE_TUN } from "./devices.ts";
import { FILE_SERVER_CAPABILITIES, fileServerArguments } from "./file-server.ts";
import { AGENT_WORDS, kernelLine } from "./kernel-line.ts";
import { consoleArguments, directKernelLine, directMachine } from "./qemu-direct.ts";
import type { Drive, Monitor, MonitorPlan, VmSpec } from "./vm-spec.ts";

/** QEMU's `microvm` machine: virtio-mmio devices only, an uncompressed kernel entered through PVH. */
export const qemu: Monitor = {
  name: "qemu",
  shares: ["virtiofs", "9p"],
  needsKvm: false,
  ordersDisks: false,
  plan,
};

/** The name of the port in the guest's `/sys/class/virtio-ports`. */
export const AGENT_PORT = "urunc.agent.0";

/**
 * What every machine has. Options of `-M`, each with its reason:
 */
const MACHINE_OPTIONS: readonly string[] = [
  "microvm",
  // Without ACPI the machine boots slowly and does not end by itself.
  "acpi=on",
  // The 8254 and 8259 are for kernels that calibrate their clock by them; ours is told its rate.
  "pit=off",
  "pic=off",
  // A kernel that finds no clock to tell the time by looks for one for a second.
  "rtc=on",
  // Devices are listed in ACPI, so that the command line stays ours.
  "auto-kernel-cmdline=off",
];

/** virtio-mmio slots: with one interrupt controller, and with `ioapic2=on`. */
const SLOTS = 8;
const SLOTS_IOAPIC2 = 24;

/**
 * Translated code is thrown away beyond this, MiB; QEMU's own default of 1 GiB would count as the container's
 * memory, and a guest that does much would be killed for it.
 */
const TRANSLATION_BUFFER_MIB = 128;

/** MiB of QEMU's own: see `overheadMiB`. */
export const QEMU_OVERHEAD_MIB = 64;

/** MiB of virtiofsd's own, and of what the kernel keeps for the files that it has open. */
export const FILE_SERVER_OVERHEAD_MIB = 16;

/**
 * Requests to the file server on their way. The kernel's largest request is as many pages: the default of 128 makes
 * those of big files eight times as many.
 */
const FILE_SERVER_QUEUE = 1024;

/** QEMU would drop frames of each VLAN that the guest has not asked for, and nobody asks for those of a packet socket. */
const ALL_VLANS = "ctrl_vlan=off";

/**
 * QEMU's file server says from which request on it wants to be told, and looks for further ones without a memory barrier
 * between the two (`vu_queue_pop` of libvhost-user): one that comes just then is announced to nobody, nor any after it, and
 * the guest waits for its files for ever. Without the feature each request is announced.
 */
const ALWAYS_NOTIFY = "event_idx=off";

/**
 * What QEMU's 9p server needs to act for the guest's users on the exported directory: nothing else is done with
 * capabilities, and each is one that a container has by default.
 */
const CAPABILITIES_9P: readonly string[] = [
  "CAP_CHOWN",
  "CAP_DAC_OVERRIDE",
  "CAP_FOWNER",
  "CAP_FSETID",
  "CAP_MKNOD",
  "CAP_SETFCAP",
];

/**
 * The kernel's command line: what the machine needs, then the specification's own words.
 * Throws UruncError("not-supported") if it is longer than the 2,047 bytes that x86 keeps of it.
 */
export function kernelCommandLine(spec: VmSpec): string {
  return kernelLine([
    "console=ttyS0",
    // By a triple fault: a reset port needs a device. `-no-reboot` makes it the end.
    "reboot=t",
    // There is no PCI bus, and looking for one takes time.
    "pci=off",
    ...AGENT_WORDS,
    ...(spec.acceleration.kind === "tcg" ? emulationArguments(spec.acceleration.tscKhz) : []),
    ...spec.kernelArguments,
  ]);
}

/** What a kernel cannot find out, or not cheaply, on an emulated processor. */
function emulationArguments(tscKhz: number): string[] {
  return [
    // It cannot calibrate its clock reliably (1 boot in 5 hangs), which runs at the host's rate.
    `tsc_early_khz=${tscKhz}`,
    // The clock is the host's: nothing here is a better one to check it by, on a host with much to do least of all.
    "tsc=reliable",
    "no_timer_check",
    // QEMU's local APIC counts nanoseconds (kernel/patches/0001-lapic-timer-khz.patch).
    "lapic_timer_khz=1000000",
    // See kernel/patches/0002-keep-initmem.patch.
    "keep_initmem",
  ];
}

function plan(spec: VmSpec): MonitorPlan {
  if (!Number.isSafeInteger(spec.vcpus) || spec.vcpus < 1 || spec.vcpus > 255) {
    throw new UruncError("not-supported", `a virtual machine has 1 to 255 processors, not ${spec.vcpus}`);
  }
  if (!Number.isSafeInteger(spec.memoryMiB) || spec.memoryMiB < 1) {
    throw new UruncError("memory-too-small", `a virtual machine cannot have ${spec.memoryMiB} MiB of memory`);
  }
  const { share } = spec;
  const devices = virtioDevices(spec);
  const machine = [
    ...(spec.direct ? directMachine(spec.direct) : MACHINE_OPTIONS),
    ...(isOnPci(spec) ? [] : [`ioapic2=${devices.length > SLOTS ? "on" : "off"}`]),
    ...(share.kind === "virtiofs" ? ["memory-backend=memory"] : []),
  ];
  return {
    argv: [
      spec.program,
      ...["-name", spec.name.replace(/[^A-Za-z0-9_.-]/g, "")],
      ...["-no-user-config", "-nodefaults", "-no-reboot"],
      ...(spec.firmware === undefined ? [] : ["-L", spec.firmware]),
      ...["-display", "none"],
      ...["-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"],
      ...["-M", machine.join(",")],
      // virtio 1 instead of the interface before the standard.
      ...(isOnPci(spec) ? [] : ["-global", "virtio-mmio.force-legacy=false"]),
      ...accelerationArguments(spec),
      ...["-smp", String(spec.vcpus)],
      ...["-m", `${spec.memoryMiB}M`],
      // The file server puts what it reads into the guest's memory itself.
      ...(share.kind === "virtiofs"
        ? ["-object", `memory-backend-memfd,id=memory,size=${spec.memoryMiB}M,share=on`]
        : []),
      ...["-kernel", spec.kernel],
      ...(spec.initrd === undefined ? [] : ["-initrd", spec.initrd]),
      ...["-append", spec.direct ? directKernelLine(spec, spec.direct) : kernelCommandLine(spec)],
      ...consoleArguments(spec),
      ...(spec.direct?.mmio ? devices.map(inSlot) : devices).flat(),
    ],
    ...(share.kind === "virtiofs"
      ? { fileServer: fileServerArguments(share.server, share.path, share.listenFd) }
      : {}),
    devices: [
      ...(spec.acceleration.kind === "kvm" ? [DEVICE_KVM] : []),
      ...(spec.network.kind === "tap" ? [DEVICE_TUN] : []),
    ],
    capabilities: capabilities(spec),
    overheadMiB: overheadMiB(spec),
  };
}

function capabilities({ share }: VmSpec): readonly string[] {
  switch (share.kind) {
    case "9p":
      return CAPABILITIES_9P;
    case "virtiofs":
      return FILE_SERVER_CAPABILITIES;
    case "none":
      return [];
  }
}

/** Doubles the commas of a value inside a QEMU option. */
export function quoteOption(value: string): string {
  return value.replaceAll(",", ",,");
}

function accelerationArguments(spec: VmSpec): string[] {
  // The largest set of features: images built for x86-64-v3 do not run on QEMU's default processor.
  return spec.acceleration.kind === "kvm"
    ? ["-accel", "kvm", "-cpu", "host"]
    : ["-accel", `tcg,tb-size=${TRANSLATION_BUFFER_MIB}`, "-cpu", "max"];
}

function isOnPci({ direct }: VmSpec): boolean {
  return direct !== undefined && direct.mmio === undefined;
}

/** A virtio device: of a microvm's own bus, or on PCI. */
function virtio(spec: VmSpec, name: string): string {
  return `${name}-${isOnPci(spec) ? "pci" : "device"}`;
}

/** The kernel is to count devices as we do; by itself QEMU takes slots from the end. */
function inSlot(device: readonly string[], slot: number): string[] {
  return device.with(-1, `${device.at(-1)},bus=virtio-mmio-bus.${slot}`);
}

/** The arguments of each virtio device, in the order in which they take slots. */
function virtioDevices(spec: VmSpec): string[][] {
  const devices = [
    ...shareDevice(spec),
    ...spec.drives.map((drive) => diskDevice(spec, drive)),
    ...(spec.direct ? [] : [agentDevice(spec)]),
    // Pages that the guest has freed go back to the host.
    ["-device", `${virtio(spec, "virtio-balloon")},free-page-reporting=on,deflate-on-oom=on`],
    ...networkDevices(spec),
  ];
  if (!isOnPci(spec)) refuseTooMany(devices.length, spec.direct?.mmio ? SLOTS : SLOTS_IOAPIC2);
  return devices;
}

function agentDevice(spec: VmSpec): string[] {
  return [
    // Port 0 is a console's; each further possible port costs two queues.
    ...["-chardev", `socket,id=agent,fd=${spec.agentFd}`],
    ...["-device", "virtio-serial-device,max_ports=2"],
    ...["-device", `virtserialport,chardev=agent,name=${AGENT_PORT}`],
  ];
}

function refuseTooMany(devices: number, most: number): void {
  if (devices <= most) return;
  throw new UruncError(
    "not-supported",
    `the virtual machine would have ${devices} devices, and QEMU's microvm has ${most} slots; ` +
      "give the container fewer network interfaces",
  );
}

function shareDevice(spec: VmSpec): string[][] {
  const { share } = spec;
  if (share.kind === "none") return [];
  if (share.kind === "virtiofs") {
    const device = [
      virtio(spec, "vhost-user-fs"),
      "chardev=share",
      `tag=${quoteOption(share.tag)}`,
      `queue-size=${FILE_SERVER_QUEUE}`,
      ...(share.server.dialect === "qemu" ? [ALWAYS_NOTIFY] : []),
    ];
    return [["-chardev", `socket,id=share,fd=${share.connectedFd}`, "-device", device.join(",")]];
  }
  const options = [
    "local",
    "id=share",
    `path=${quoteOption(share.path)}`,
    // Owners and modes are those of the files, as in a container.
    `security_model=${share.owners === "one" ? "none" : "passthrough"}`,
    // Mounts inside the share have inode numbers of their own, which must not collide.
    "multidevs=remap",
    ...(share.readOnly ? ["readonly=on"] : []),
  ];
  return [
    [
      ...["-fsdev", options.join(",")],
      ...["-device", `${virtio(spec, "virtio-9p")},fsdev=share,mount_tag=${quoteOption(share.tag)}`],
    ],
  ];
}

/** The format is said: to guess it would be to believe the guest, who writes the first bytes. */
function diskDevice(spec: VmSpec, { path, serial, readOnly, isDevice }: Drive): string[] {
  const node = [
    "driver=raw",
    `node-name=disk-${serial}`,
    `read-only=${readOnly ? "on" : "off"}`,
    // What the guest's file system frees is a hole in the file.
    "discard=unmap",
    `file.driver=${isDevice ? "host_device" : "file"}`,
    `file.filename=${quoteOption(path)}`,
  ];
  return [
    ...["-blockdev", node.join(",")],
    ...["-device", `${virtio(spec, "virtio-blk")},drive=disk-${serial},serial=${serial}`],
  ];
}

function networkDevices(spec: VmSpec): string[][] {
  const { network } = spec;
  // A machine on PCI would look for firmware to boot by.
  // mewz has a driver for the interface of virtio 1 alone.
  const modern = spec.direct?.unikernel === "mewz" ? ",disable-legacy=on" : "";
  const device = isOnPci(spec) ? `virtio-net-pci,romfile=${modern}` : "virtio-net-device";
  switch (network.kind) {
    case "none":
      return [];
    case "user":
      return [
        [
          ...["-netdev", ["user,id=net0", ...(network.published ?? []).map(hostForward)].join(",")],
          ...["-device", `${device},netdev=net0,mac=${network.mac}`],
        ],
      ];
    case "tap":
      return network.taps.map(({ tap, mac, mtu }, index) => [
        ...["-netdev", `tap,id=net${index},ifname=${quoteOption(tap)},script=no,downscript=no`],
        ...["-device", `${device},netdev=net${index},mac=${mac},host_mtu=${mtu},${ALL_VLANS}`],
      ]);
  }
}

function hostForward({ protocol, hostAddress, hostPort, guestPort }: PublishedPort): string {
  return `hostfwd=${protocol}:${hostAddress}:${hostPort}-:${guestPort}`;
}

/** MiB besides the guest's memory: QEMU's own and, without KVM, the translated code. */
function overheadMiB(spec: VmSpec): number {
  return (
    QEMU_OVERHEAD_MIB +
    (spec.acceleration.kind === "tcg" ? TRANSLATION_BUFFER_MIB : 0) +
    (spec.share.kind === "virtiofs" ? FILE_SERVER_OVERHEAD_MIB : 0)
  );
}
