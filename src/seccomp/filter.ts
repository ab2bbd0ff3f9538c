import { UruncError } from "../errors.ts";
import type { Seccomp } from "../oci/seccomp.ts";
import { compile } from "./libseccomp.ts";
import { INSTRUCTION, refuseNewer } from "./newer.ts";
import { filterRules } from "./rules.ts";

/** A system call filter as the kernel takes it; JSON can hold it. */
export interface SystemCallFilter {
  /** Of `seccomp(2)`. */
  flags: number;
  /** An array of `struct sock_filter`, in base64. */
  program: string;
}

/** `BPF_MAXINSNS` of `<linux/bpf_common.h>`. */
const MOST_INSTRUCTIONS = 4096;

/**
 * Compiles a container's system call filter (`config-linux.md`, "Seccomp"), as runc does.
 *
 * @param profile checked by `parseSpec`
 * @returns undefined where the profile asks for none
 * @throws UruncError `bundle-invalid`, `not-supported`, `files-missing`
 */
export async function compileFilter(
  profile: Seccomp | null | undefined,
): Promise<SystemCallFilter | undefined> {
  const rules = filterRules(profile);
  if (rules === undefined) return undefined;
  const compiled = await compile(rules);
  const first = rules.refusesNewer ? refuseNewer(compiled.greatest) : new Uint8Array();
  const program = Buffer.concat([first, compiled.program]);
  const length = program.length / INSTRUCTION;
  if (length > MOST_INSTRUCTIONS) {
    throw new UruncError(
      "bundle-invalid",
      `linux.seccomp takes ${length} instructions: the kernel takes ${MOST_INSTRUCTIONS}`,
    );
  }
  return { flags: rules.flags, program: program.toString("base64") };
}
