import { UruncError } from "../errors.ts";
import type { Resources } from "../oci/runtime-spec.ts";
import type { ParsedFlags } from "./flags.ts";

const UNITS = ["", "k", "m", "g", "t", "p"];

/**
 * The flags of `update` as resources of the specification.
 *
 * @throws UruncError `usage`
 */
export function flagResources({ strings }: Pick<ParsedFlags, "strings">): Resources {
  const value = <T>(
    flag: string,
    key: string,
    parse: (text: string, flag: string) => T,
  ): Record<string, T> => {
    const text = strings[flag];
    return text === undefined || text === "" ? {} : { [key]: parse(text, flag) };
  };
  return {
    memory: {
      ...value("memory", "limit", bytes),
      ...value("memory-swap", "swap", bytes),
      ...value("memory-reservation", "reservation", bytes),
      ...value("kernel-memory", "kernel", bytes),
      ...value("kernel-memory-tcp", "kernelTCP", bytes),
    },
    cpu: {
      ...value("cpu-period", "period", natural),
      ...value("cpu-quota", "quota", whole),
      ...value("cpu-share", "shares", natural),
      ...value("cpu-rt-period", "realtimePeriod", natural),
      ...value("cpu-rt-runtime", "realtimeRuntime", whole),
      ...value("cpuset-cpus", "cpus", String),
      ...value("cpuset-mems", "mems", String),
    },
    pids: value("pids-limit", "limit", whole),
    blockIO: value("blkio-weight", "weight", natural),
  };
}

function whole(text: string, flag: string): number {
  if (/^-?\d{1,15}$/.test(text)) return Number(text);
  throw new UruncError("usage", `invalid value for ${flag}: ${JSON.stringify(text)} is not a whole number`);
}

function natural(text: string, flag: string): number {
  const number = whole(text, flag);
  if (number >= 0) return number;
  throw new UruncError("usage", `invalid value for ${flag}: ${JSON.stringify(text)} is less than 0`);
}

/** `512m`, `1.5GiB`, a number of bytes, or -1. */
function bytes(text: string, flag: string): number {
  if (text === "-1") return -1;
  const [, number, unit = ""] = /^(\d{1,15}(?:\.\d+)?) ?(?:([kmgtp])i?)?b?$/i.exec(text) ?? [];
  if (number !== undefined) return Math.floor(Number(number) * 1024 ** UNITS.indexOf(unit.toLowerCase()));
  throw new UruncError("usage", `invalid value for ${flag}: ${JSON.stringify(text)} is not a size as 512m`);
}
