import { UruncError } from "../errors.ts";
import type { Seccomp, SeccompArgument, SeccompRule } from "../oci/seccomp.ts";

/** A profile in the numbers of the kernel and of libseccomp; names of system calls stay for libseccomp. */
export interface FilterRules {
  /** For system calls without a rule. */
  defaultAction: number;
  /** libseccomp's names, besides the processor's own. */
  architectures: string[];
  rules: FilterRule[];
  /** Of `seccomp(2)`. */
  flags: number;
  /** Every system call that the profile names, whatever it says of it. */
  known: string[];
  /** Whether system calls newer than those fail with ENOSYS, before the default action. */
  refusesNewer: boolean;
}

/** One system call; all conditions must hold. */
export interface FilterRule {
  name: string;
  action: number;
  conditions: Condition[];
}

/** `struct scmp_arg_cmp` of libseccomp. */
export interface Condition {
  argument: number;
  operator: number;
  value: bigint;
  valueTwo: bigint;
}

const EPERM = 1;

/** More different ones do not fit into a program, which has at most as many instructions. */
const MOST_RULES = 4096;

/** `SECCOMP_RET_…` of `<linux/seccomp.h>`, which libseccomp takes as they are. */
const ACTIONS: Readonly<Record<string, number>> = {
  SCMP_ACT_KILL: 0x00000000,
  SCMP_ACT_KILL_THREAD: 0x00000000,
  SCMP_ACT_KILL_PROCESS: 0x80000000,
  SCMP_ACT_TRAP: 0x00030000,
  SCMP_ACT_ERRNO: 0x00050000,
  SCMP_ACT_TRACE: 0x7ff00000,
  SCMP_ACT_LOG: 0x7ffc0000,
  SCMP_ACT_ALLOW: 0x7fff0000,
};

/** Those that have a number in their lower half. */
const WITH_NUMBER: readonly string[] = ["SCMP_ACT_ERRNO", "SCMP_ACT_TRACE"];

/** A tracer knows newer system calls itself. */
const PERMISSIVE: readonly string[] = ["SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "SCMP_ACT_TRACE"];

/** `enum scmp_compare` of libseccomp. */
const OPERATORS: Readonly<Record<string, number>> = {
  SCMP_CMP_NE: 1,
  SCMP_CMP_LT: 2,
  SCMP_CMP_LE: 3,
  SCMP_CMP_EQ: 4,
  SCMP_CMP_GE: 5,
  SCMP_CMP_GT: 6,
  SCMP_CMP_MASKED_EQ: 7,
};

const ARCHITECTURES =
  "X86 X86_64 X32 ARM AARCH64 MIPS MIPS64 MIPS64N32 MIPSEL MIPSEL64 MIPSEL64N32 PPC PPC64 PPC64LE RISCV64 S390 S390X"
    .split(" ")
    .map((name) => `SCMP_ARCH_${name}`);

/** `SECCOMP_FILTER_FLAG_…`. All threads of one process have the filter anyway, as it has one when it gets it. */
const FLAGS: Readonly<Record<string, number>> = {
  SECCOMP_FILTER_FLAG_TSYNC: 0,
  SECCOMP_FILTER_FLAG_LOG: 1 << 1,
  SECCOMP_FILTER_FLAG_SPEC_ALLOW: 1 << 2,
};

/** What `features` says of flags. */
export const FILTER_FLAGS: readonly string[] = Object.keys(FLAGS);

/** The action that needs a program on the host to ask. */
export const NOTIFY = "SCMP_ACT_NOTIFY";

/**
 * Turns a profile into rules, in the way of runc 1.1 (`libcontainer/seccomp`).
 *
 * @param profile checked by `parseSpec`
 * @returns undefined where the profile asks for no filter
 * @throws UruncError `bundle-invalid`: a name of an action, operator, architecture or flag that is none;
 *   `not-supported`: a notification
 */
export function filterRules(profile: Seccomp | null | undefined): FilterRules | undefined {
  const syscalls = profile?.syscalls ?? [];
  if (!profile || (!profile.defaultAction && syscalls.length === 0)) return undefined;
  const count = syscalls.reduce((sum, rule) => sum + ruleCount(rule), 0);
  if (count > MOST_RULES) {
    throw new UruncError(
      "bundle-invalid",
      `linux.seccomp has ${count} rules: at most ${MOST_RULES} are possible`,
    );
  }
  const defaultName = profile.defaultAction ?? "";
  const defaultAction = actionOf(defaultName, profile.defaultErrnoRet);
  const flags = (profile.flags ?? []).map((name) => numberOf(FLAGS, name, "flag"));
  return {
    defaultAction,
    architectures: [...new Set(profile.architectures ?? [])].map(architectureOf),
    rules: syscalls.flatMap((rule) => rulesOf(rule, defaultAction)),
    flags: flags.reduce((sum, flag) => sum | flag, 0),
    known: [...new Set(syscalls.flatMap(({ names }) => names ?? []))],
    refusesNewer: !PERMISSIVE.includes(defaultName),
  };
}

function ruleCount({ names, args }: SeccompRule): number {
  return (names ?? []).length * (oneForEach(args ?? []) ? 1 : (args ?? []).length);
}

function rulesOf(rule: SeccompRule, defaultAction: number): FilterRule[] {
  const action = actionOf(rule.action, rule.errnoRet);
  const conditions = (rule.args ?? []).map(conditionOf);
  // libseccomp takes one condition for each argument: where there are more, each becomes a rule of its own.
  const alternatives = oneForEach(rule.args ?? [])
    ? [conditions]
    : conditions.map((condition) => [condition]);
  // libseccomp refuses rules that say what holds without them.
  if (action === defaultAction) return [];
  return (rule.names ?? []).flatMap((name) =>
    alternatives.map((together) => ({ name, action, conditions: together })),
  );
}

function oneForEach(args: readonly SeccompArgument[]): boolean {
  return new Set(args.map(({ index }) => index)).size === args.length;
}

function conditionOf({ index, op, value, valueTwo }: SeccompArgument): Condition {
  return {
    argument: index,
    operator: numberOf(OPERATORS, op, "operator"),
    value: BigInt(value),
    valueTwo: BigInt(valueTwo ?? 0),
  };
}

function actionOf(name: string, number: number | null | undefined): number {
  if (name === NOTIFY) {
    throw new UruncError(
      "not-supported",
      `linux.seccomp has the action ${NOTIFY}: a program of the host cannot answer for a virtual machine's kernel`,
    );
  }
  const action = numberOf(ACTIONS, name, "action");
  return WITH_NUMBER.includes(name) ? action + (number ?? EPERM) : action;
}

function architectureOf(name: string): string {
  if (!ARCHITECTURES.includes(name)) throw unknown("architecture", name);
  return name.slice("SCMP_ARCH_".length).toLowerCase();
}

function numberOf(numbers: Readonly<Record<string, number>>, name: string, kind: string): number {
  const number = Object.hasOwn(numbers, name) ? numbers[name] : undefined;
  if (number === undefined) throw unknown(kind, name);
  return number;
}

function unknown(kind: string, name: string): UruncError {
  return new UruncError("bundle-invalid", `linux.seccomp has an unknown ${kind} ${JSON.stringify(name)}`);
}
