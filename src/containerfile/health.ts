import { parseDuration } from "../runtime/duration.ts";
import type { Flags } from "./flags.ts";
import type { Health } from "./instruction.ts";
import { InstructionError } from "./wrong.ts";

const NANOSECONDS = 1_000_000;

/**
 * The times and counts of HEALTHCHECK, in an image's nanoseconds.
 *
 * @throws InstructionError with a sentence for what is no length of time, or less than a millisecond
 */
export function readHealth(test: string[], flags: Flags): Health {
  const time = (name: string) => {
    const text = flags.text(name)?.value ?? "";
    if (text === "" || /^(?:0+(?:\.0+)?(?:ns|us|µs|ms|s|m|h)?)+$/.test(text)) return 0;
    const milliseconds = inMilliseconds(text, name);
    if (milliseconds < 1) throw new InstructionError(`Interval "${name}" cannot be less than 1ms`);
    return Math.round(milliseconds * NANOSECONDS);
  };
  const retries = flags.text("retries")?.value ?? "";
  if (!/^[0-9]{0,9}$/.test(retries)) {
    throw new InstructionError(`--retries is a number from 0 on, not ${JSON.stringify(retries)}`);
  }
  return {
    test,
    interval: time("interval"),
    timeout: time("timeout"),
    startPeriod: time("start-period"),
    startInterval: time("start-interval"),
    retries: Number(retries),
  };
}

function inMilliseconds(text: string, name: string): number {
  try {
    return parseDuration(text, name);
  } catch (cause) {
    throw new InstructionError((cause as Error).message, { cause });
  }
}
