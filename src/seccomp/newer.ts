/** One instruction of a filter: `struct sock_filter` of `<linux/filter.h>`. */
export const INSTRUCTION = 8;

/** The architectures that the guest's processor has, with `AUDIT_ARCH_…` of `<linux/audit.h>`. */
const AUDIT_ARCHITECTURES: Readonly<Record<string, number>> = {
  x86_64: 0xc000003e,
  // Its calls are told from those of x86_64 by one bit of their number.
  x32: 0xc000003e,
  x86: 0x40000003,
};

const X32_BIT = 0x40000000;
const NUMBER = 0;
const ARCHITECTURE = 4;
const FAIL_WITH_ENOSYS = 0x00050000 + 38;

/** `BPF_LD | BPF_W | BPF_ABS` and so on, of `<linux/bpf_common.h>`. */
const LOAD = 0x20;
const JUMP_IF_EQUAL = 0x15;
const JUMP_IF_GREATER = 0x25;
const JUMP_IF_BITS = 0x45;
const RETURN = 0x06;

type Instruction = [code: number, onTrue: number, onFalse: number, operand: number];

/**
 * What goes before a filter so that a system call that is newer than the profile fails with ENOSYS. Libraries try the
 * new one first and fall back to an old one on that error alone; to the profile's default action, EPERM most of the
 * time, they do not. Newer is what has a greater number than all that the profile names, as runc has it
 * (`libcontainer/seccomp/patchbpf`).
 *
 * @param greatest for each architecture of the profile, libseccomp's name, the greatest number of a system call
 *   that the profile names
 * @returns instructions that either return ENOSYS or end at the filter's first instruction
 */
export function refuseNewer(greatest: ReadonlyMap<string, number>): Uint8Array {
  const instructions: Instruction[] = [];
  for (const [architecture, number] of greatest) {
    const audit = AUDIT_ARCHITECTURES[architecture];
    if (audit !== undefined) instructions.push(...section(architecture, audit, number));
  }
  const bytes = new Uint8Array(instructions.length * INSTRUCTION);
  const view = new DataView(bytes.buffer);
  for (const [index, [code, onTrue, onFalse, operand]] of instructions.entries()) {
    const at = index * INSTRUCTION;
    view.setUint16(at, code, true);
    view.setUint8(at + 2, onTrue);
    view.setUint8(at + 3, onFalse);
    view.setUint32(at + 4, operand, true);
  }
  return bytes;
}

/** What does not return ENOSYS leaves at the end, so that sections stand one behind the other. */
function section(architecture: string, audit: number, greatest: number): Instruction[] {
  const decide: Instruction[] = [
    [JUMP_IF_GREATER, 0, 1, greatest],
    [RETURN, 0, 0, FAIL_WITH_ENOSYS],
  ];
  if (architecture === "x86_64") decide.unshift([JUMP_IF_BITS, decide.length, 0, X32_BIT]);
  if (architecture === "x32") decide.unshift([JUMP_IF_BITS, 0, decide.length, X32_BIT]);
  return [
    [LOAD, 0, 0, ARCHITECTURE],
    [JUMP_IF_EQUAL, 0, decide.length + 1, audit],
    [LOAD, 0, 0, NUMBER],
    ...decide,
  ];
}
