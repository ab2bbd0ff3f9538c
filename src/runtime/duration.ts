import { UruncError } from "../errors.ts";

const UNITS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};

/**
 * A length of time as Go writes it: `5s`, `1m30s`, `1.5h`.
 *
 * @returns milliseconds, more than 0
 * @throws UruncError `usage`
 */
export function parseDuration(text: string, flag: string): number {
  if (!/^(\d+(\.\d+)?(ns|us|µs|ms|s|m|h))+$/.test(text) && text !== "0") {
    throw new UruncError(
      "usage",
      `--${flag} is a length of time as 5s or 1m30s, not ${JSON.stringify(text)}`,
    );
  }
  let milliseconds = 0;
  for (const [, value, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)/g)) {
    milliseconds += Number(value) * (UNITS[unit ?? ""] ?? 0);
  }
  if (milliseconds > 0) return milliseconds;
  throw new UruncError("usage", `duration ${flag} must be greater than 0`);
}
