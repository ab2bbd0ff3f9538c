import { directCommandLine } from "../guest/direct.ts";
import type { DirectMachine, VmSpec } from "./vm-spec.ts";

/**
 * The machine for kernels that are not ours: a PC with PCI, which any kernel for virtual machines has drivers for, and
 * which enters compressed kernels too. Options of `-M`, each with its reason:
 */
const PC: readonly string[] = [
  "q35",
  // Memory that only firmware sees, which needs more of the processor than is emulated quickly.
  "smm=off",
  // The mouse of VMware's.
  "vmport=off",
  // Disks are virtio's.
  "sata=off",
  "smbus=off",
];

/**
 * The machine for those without drivers for virtio on PCI, with all that a kernel may calibrate its clock by.
 */
const MICROVM: readonly string[] = [
  "microvm",
  // With it there would be no interrupts of a PC's, which the driver of the serial port knows.
  "acpi=off",
  // It comes behind `--`, where it would be the init's.
  "auto-kernel-cmdline=off",
  // Its interrupt would be a device's.
  "rtc=off",
];

/** Where that has its devices: bytes of each, and address and interrupt of the first. */
const MMIO = { size: 512, base: 0xfeb00000, interrupt: 5, slots: 8 };

/** Options of `-M`. */
export function directMachine({ mmio }: DirectMachine): readonly string[] {
  return mmio ? MICROVM : PC;
}

/** Words by which a kernel looks for all devices that a microvm could have. It passes over places where there is none. */
function mmioWords({ mmio }: DirectMachine): string[] {
  if (!mmio) return [];
  const { size, base, interrupt, slots } = MMIO;
  const place = (slot: number) => `${size}@0x${(base + slot * size).toString(16)}:${interrupt + slot}`;
  return Array.from({ length: slots }, (_, slot) => `virtio_mmio.device=${place(slot)}`);
}

/** Where an init can speak without a driver (`native/urunit/port.c`). */
const REPORTS_PORT = "0xe9";

/**
 * The kernel's command line, in the order that images for this convention know.
 *
 * @throws UruncError `not-supported`: it is too long
 */
export function directKernelLine({ acceleration }: VmSpec, machine: DirectMachine): string {
  const { words, unikernel, mmio } = machine;
  if (unikernel !== undefined) return words.join(" ");
  return directCommandLine([
    // A panic restarts at once, which ends the machine.
    "panic=-1",
    "console=ttyS0",
    // The console is the container's output too.
    "quiet",
    // It cannot calibrate its clock reliably on an emulated processor, which runs at the host's rate.
    ...(acceleration.kind === "tcg"
      ? [`tsc_early_khz=${acceleration.tscKhz}`, "tsc=reliable", "no_timer_check"]
      : []),
    // By a triple fault: other ways to end need devices that are not there.
    ...(mmio ? ["reboot=t"] : []),
    ...mmioWords(machine),
    ...words,
  ]);
}

/** The first serial port, and without the agent the further ways to the machine and its init. */
export function consoleArguments({ consoleFd, agentFd, direct }: VmSpec): string[] {
  return [
    ...["-chardev", `socket,id=console,fd=${consoleFd}`],
    ...["-serial", "chardev:console"],
    ...(direct === undefined
      ? []
      : [
          ...["-chardev", `socket,id=commands,fd=${direct.commandsFd}`],
          // A microvm has the first one alone.
          ...(direct.mmio
            ? ["-device", "isa-serial,chardev=commands,index=1"]
            : ["-serial", "chardev:commands"]),
          ...["-chardev", `socket,id=reports,fd=${agentFd}`],
          ...["-device", `isa-debugcon,chardev=reports,iobase=${REPORTS_PORT}`],
          ...["-chardev", `socket,id=control,fd=${direct.controlFd}`, "-mon", "chardev=control,mode=control"],
          // Its one way to end: what it writes there, twice and one more, is QEMU's exit status.
          ...(direct.unikernel === "mewz" ? ["-device", "isa-debug-exit,iobase=0x501,iosize=2"] : []),
        ]),
  ];
}
