import { readFileSync } from "node:fs";
import type { Process } from "../oci/runtime-spec.ts";

export type ResourceLimits = NonNullable<Process["rlimits"]>;

/** The kernel's names in `/proc/PID/limits` (proc(5)) by those of the OCI runtime specification. */
const NAMES: Readonly<Record<string, string>> = {
  "Max cpu time": "RLIMIT_CPU",
  "Max file size": "RLIMIT_FSIZE",
  "Max data size": "RLIMIT_DATA",
  "Max stack size": "RLIMIT_STACK",
  "Max core file size": "RLIMIT_CORE",
  "Max resident set": "RLIMIT_RSS",
  "Max processes": "RLIMIT_NPROC",
  "Max open files": "RLIMIT_NOFILE",
  "Max locked memory": "RLIMIT_MEMLOCK",
  "Max address space": "RLIMIT_AS",
  "Max file locks": "RLIMIT_LOCKS",
  "Max pending signals": "RLIMIT_SIGPENDING",
  "Max msgqueue size": "RLIMIT_MSGQUEUE",
  "Max nice priority": "RLIMIT_NICE",
  "Max realtime priority": "RLIMIT_RTPRIO",
  "Max realtime timeout": "RLIMIT_RTTIME",
};

/** The kernel's default of `fs.nr_open`, which is the guest's: no limit of open files can be above it. */
const MOST_OPEN_FILES = 1_048_576;

/** -1, as the document of a process has "unlimited". */
const UNLIMITED = -1;

/** The limits of this process, which a container that has none of its own inherits, as under runc. */
export function inheritedLimits(): ResourceLimits {
  return parseLimits(readFileSync("/proc/self/limits", "utf8"));
}

/** Parses `/proc/PID/limits`; lines that are not known are left out. */
export function parseLimits(text: string): ResourceLimits {
  return text.split("\n").flatMap((line) => {
    const [, name = "", soft, hard] = /^(\S.*?) {2,}(\d+|unlimited) +(\d+|unlimited)( |$)/.exec(line) ?? [];
    const type = NAMES[name];
    if (type === undefined) return [];
    return [{ type, soft: value(type, soft), hard: value(type, hard) }];
  });
}

function value(type: string, text: string | undefined): number {
  const number = text === undefined || text === "unlimited" ? UNLIMITED : Number(text);
  if (type !== "RLIMIT_NOFILE") return number;
  return number === UNLIMITED ? MOST_OPEN_FILES : Math.min(number, MOST_OPEN_FILES);
}

/** The process with those limits that it does not have itself. */
export function withLimits(process: Process, inherited: ResourceLimits): Process {
  const own = process.rlimits ?? [];
  const named = new Set(own.map(({ type }) => type));
  return { ...process, rlimits: [...own, ...inherited.filter(({ type }) => !named.has(type))] };
}
