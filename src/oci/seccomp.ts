import type { Checker } from "./runtime-spec.ts";

/** `linux.seccomp` (`config-linux.md`, "Seccomp"). */
export interface Seccomp {
  /** `SCMP_ACT_…`; with no system calls either, there is no filter. */
  defaultAction?: string;
  /** What the default action gives the caller as `errno`, or the tracer as message; default EPERM. */
  defaultErrnoRet?: number;
  /** `SCMP_ARCH_…`, besides the processor's own. */
  architectures?: string[];
  /** `SECCOMP_FILTER_FLAG_…` */
  flags?: string[];
  syscalls?: SeccompRule[];
  [key: string]: unknown;
}

export interface SeccompRule {
  names: string[];
  action: string;
  errnoRet?: number;
  args?: SeccompArgument[];
}

export interface SeccompArgument {
  index: number;
  value: number | bigint;
  valueTwo?: number | bigint;
  /** `SCMP_CMP_…` */
  op: string;
}

/** System calls have six arguments. */
const ARGUMENTS = 6;

/**
 * Checks the types and ranges of a system call filter.
 *
 * @throws UruncError `bundle-invalid`
 */
export function checkSeccomp(check: Checker, value: unknown): void {
  if (value === undefined || value === null) return;
  const at = "linux.seccomp";
  const seccomp = check.object(value, at);
  check.optional(seccomp["defaultAction"], "string", `${at}.defaultAction`);
  checkErrno(check, seccomp["defaultErrnoRet"], `${at}.defaultErrnoRet`);
  check.strings(seccomp["architectures"], `${at}.architectures`);
  check.strings(seccomp["flags"], `${at}.flags`);
  for (const [index, rule] of check.list(seccomp["syscalls"], `${at}.syscalls`).entries()) {
    checkRule(check, rule, `${at}.syscalls[${index}]`);
  }
}

function checkRule(check: Checker, value: unknown, at: string): void {
  const rule = check.object(value, at);
  for (const name of check.list(rule["names"], `${at}.names`)) check.string(name, `${at}.names`);
  check.string(rule["action"], `${at}.action`);
  checkErrno(check, rule["errnoRet"], `${at}.errnoRet`);
  for (const [index, argument] of check.list(rule["args"], `${at}.args`).entries()) {
    const place = `${at}.args[${index}]`;
    const fields = check.object(argument, place);
    fields["index"] ??= 0;
    fields["value"] ??= 0;
    check.whole(fields["index"], ARGUMENTS - 1, `${place}.index`);
    check.whole(fields["value"], 2n ** 64n - 1n, `${place}.value`);
    check.whole(fields["valueTwo"] ?? 0, 2n ** 64n - 1n, `${place}.valueTwo`);
    check.string(fields["op"], `${place}.op`);
  }
}

function checkErrno(check: Checker, value: unknown, at: string): void {
  if (value !== undefined && value !== null) check.whole(value, 0xffff, at);
}
