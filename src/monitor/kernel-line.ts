import { UruncError } from "../errors.ts";
import { COMMAND_LINE_MOST } from "../guest/direct.ts";

/** What our kernel is told by every monitor. */
export const AGENT_WORDS: readonly string[] = [
  // A panic restarts at once, which ends the machine.
  "panic=-1",
  // Each character of the log is two exits to the monitor: warnings and errors only.
  "quiet",
  // A kernel with one processor would patch 8,000 lock prefixes away, which takes longer than they ever will.
  "noreplace-smp",
  // Mounts and control groups wait for all processors to have passed by; this asks them instead of waiting.
  "rcupdate.rcu_expedited=1",
];

/**
 * The kernel's command line.
 *
 * @param reserved bytes that the monitor itself adds behind it
 * @throws UruncError `not-supported`: it is longer than x86 keeps of it
 */
export function kernelLine(words: readonly string[], reserved = 0): string {
  const line = words.join(" ");
  const length = Buffer.byteLength(line) + reserved;
  if (length <= COMMAND_LINE_MOST) return line;
  throw new UruncError(
    "not-supported",
    `the kernel's command line would have ${length} bytes, and the kernel keeps ${COMMAND_LINE_MOST} of them`,
  );
}
