import { closeSync, fstatSync, readSync } from "node:fs";
import { getSystemErrorName } from "node:util";
import { UruncError } from "../errors.ts";
import type { Condition, FilterRules } from "./rules.ts";

const LIBRARY = "libseccomp.so.2";

/** `__NR_SCMP_ERROR`: there is no such system call. Other negative numbers are of those that another architecture has. */
const NO_SYSCALL = -1;

/** The kernel's `-EEXIST`. */
const EXISTS = -17;

/** `struct scmp_arg_cmp`: two 32-bit and two 64-bit numbers. */
const CONDITION = 24;

/** A program of `struct sock_filter`, and what is needed to add to it. */
export interface Compiled {
  program: Uint8Array;
  /** For each architecture of the rules, the greatest number of a system call that they know. */
  greatest: Map<string, number>;
}

/**
 * Compiles rules with libseccomp, the library that runc does it with. System calls that it does not know are left out,
 * as runc does: no kernel of its time has them.
 *
 * @throws UruncError `files-missing`: no libseccomp; `bundle-invalid`: what it refuses
 */
export async function compile(rules: FilterRules): Promise<Compiled> {
  const { library, system } = await open();
  const context = library.seccomp_init(rules.defaultAction);
  if (context === null) throw refused("the default action", "it is none that this system has");
  try {
    for (const name of rules.architectures) {
      const status = library.seccomp_arch_add(context, library.seccomp_arch_resolve_name(text(name)));
      if (status !== 0 && status !== EXISTS) throw refused(`the architecture ${name}`, errorName(status));
    }
    for (const { name, action, conditions } of rules.rules) {
      const number = library.seccomp_syscall_resolve_name(text(name));
      if (number === NO_SYSCALL) continue;
      const list = conditions.length === 0 ? null : conditionList(conditions);
      const status = library.seccomp_rule_add_array(context, action, number, conditions.length, list);
      if (status !== 0) throw refused(`the rule for ${name}`, errorName(status));
    }
    return { program: program(), greatest: greatest() };
  } finally {
    library.seccomp_release(context);
  }

  function program(): Uint8Array {
    const file = system.memfd_create(text("filter"), 0);
    if (file < 0) throw new UruncError("internal", "memfd_create(2) gave no file for a system call filter");
    try {
      const status = library.seccomp_export_bpf(context, file);
      if (status !== 0) throw refused("the profile", errorName(status));
      const bytes = new Uint8Array(fstatSync(file).size);
      readSync(file, bytes, 0, bytes.length, 0);
      return bytes;
    } finally {
      closeSync(file);
    }
  }

  function greatest(): Map<string, number> {
    const found = new Map<string, number>();
    for (const architecture of rules.architectures) {
      const token = library.seccomp_arch_resolve_name(text(architecture));
      const numbers = rules.known.map((name) => library.seccomp_syscall_resolve_name_arch(token, text(name)));
      const number = numbers.reduce((most, one) => Math.max(most, one), 0);
      if (number > 0) found.set(architecture, number);
    }
    return found;
  }
}

/** The version of the library here; undefined: it cannot be loaded. */
export async function libraryVersion(): Promise<string | undefined> {
  const { dlopen, read } = await import("bun:ffi");
  try {
    const { symbols } = dlopen(LIBRARY, { seccomp_version: { args: [], returns: "ptr" } });
    // `struct scmp_version`: three 32-bit numbers.
    const version = symbols.seccomp_version();
    return version === null ? undefined : [0, 4, 8].map((at) => read.u32(version, at)).join(".");
  } catch {
    return undefined;
  }
}

/** Loaded only for a profile: it takes time, and a machine without one needs no libseccomp. */
async function open() {
  const { dlopen } = await import("bun:ffi");
  const system = dlopen("libc.so.6", { memfd_create: { args: ["ptr", "u32"], returns: "i32" } });
  try {
    const library = dlopen(LIBRARY, {
      seccomp_init: { args: ["u32"], returns: "ptr" },
      seccomp_release: { args: ["ptr"], returns: "void" },
      seccomp_arch_resolve_name: { args: ["ptr"], returns: "u32" },
      seccomp_arch_add: { args: ["ptr", "u32"], returns: "i32" },
      seccomp_syscall_resolve_name: { args: ["ptr"], returns: "i32" },
      seccomp_syscall_resolve_name_arch: { args: ["u32", "ptr"], returns: "i32" },
      seccomp_rule_add_array: { args: ["ptr", "u32", "i32", "u32", "ptr"], returns: "i32" },
      seccomp_export_bpf: { args: ["ptr", "i32"], returns: "i32" },
    });
    return { library: library.symbols, system: system.symbols };
  } catch (cause) {
    throw new UruncError(
      "files-missing",
      `linux.seccomp needs ${LIBRARY}, which cannot be loaded: install libseccomp (Debian's package libseccomp2)`,
      { cause },
    );
  }
}

function conditionList(conditions: readonly Condition[]): Uint8Array {
  const bytes = new Uint8Array(conditions.length * CONDITION);
  const view = new DataView(bytes.buffer);
  for (const [index, { argument, operator, value, valueTwo }] of conditions.entries()) {
    const at = index * CONDITION;
    view.setUint32(at, argument, true);
    view.setUint32(at + 4, operator, true);
    view.setBigUint64(at + 8, value, true);
    view.setBigUint64(at + 16, valueTwo, true);
  }
  return bytes;
}

function text(string: string): Uint8Array {
  return new TextEncoder().encode(`${string}\0`);
}

function errorName(status: number): string {
  try {
    return getSystemErrorName(status);
  } catch {
    return `error ${status}`;
  }
}

function refused(what: string, why: string): UruncError {
  return new UruncError(
    "bundle-invalid",
    `linux.seccomp cannot be compiled: libseccomp refuses ${what} (${why})`,
  );
}
