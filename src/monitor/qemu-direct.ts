import { directCommandLine } from "../guest/direct.ts";
import type { DirectMachine, VmSpec } from "./vm-spec.ts";

/**
 * The machine for kernels that are not ours: a PC with PCI, which any kernel for virtual machines has drivers for, and
 * which enters compressed kernels too. Options of `-M`, each with its reason:
 */
export const DIRECT_MACHINE: readonly string[] = [
  "q35",
  // Memory that only firmware sees, which needs more of the processor than is emulated quickly.
  "smm=off",
  // The mouse of VMware's.
  "vmport=off",
  // Disks are virtio's.
  "sata=off",
  "smbus=off",
];

/** Where an init can speak without a driver (`native/urunit/port.c`). */
const REPORTS_PORT = "0xe9";

/**
 * The kernel's command line, in the order that images for this convention know.
 *
 * @throws UruncError `not-supported`: it is too long
 */
export function directKernelLine({ acceleration }: VmSpec, { words, unikernel }: DirectMachine): string {
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
          ...["-chardev", `socket,id=commands,fd=${direct.commandsFd}`, "-serial", "chardev:commands"],
          ...["-chardev", `socket,id=reports,fd=${agentFd}`],
          ...["-device", `isa-debugcon,chardev=reports,iobase=${REPORTS_PORT}`],
          ...["-chardev", `socket,id=control,fd=${direct.controlFd}`, "-mon", "chardev=control,mode=control"],
          // Its one way to end: what it writes there, twice and one more, is QEMU's exit status.
          ...(direct.unikernel === "mewz" ? ["-device", "isa-debug-exit,iobase=0x501,iosize=2"] : []),
        ]),
  ];
}
