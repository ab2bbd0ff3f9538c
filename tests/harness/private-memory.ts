import { readFileSync } from "node:fs";

/** KiB of a process that it shares with nobody: all `Private_…` of its mappings (proc(5)). */
export function privateKiB(pid: number | string | undefined): number {
  const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
  return [...rollup.matchAll(/^Private_\w+:\s+(\d+) kB$/gm)].reduce((sum, [, kib]) => sum + Number(kib), 0);
}
