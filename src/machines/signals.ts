import { constants } from "node:os";
import { UruncError } from "../errors.ts";

/** 1 to 64. */
export type SignalNumber = number;

export const SIGKILL: SignalNumber = 9;

/**
 * A signal by its number or its name, with or without `SIG`, in any case.
 *
 * @throws UruncError `usage`, in Docker's words
 */
export function signalNumber(text: string): SignalNumber {
  const name = text.toUpperCase().replace(/^SIG/, "");
  const names: Partial<Record<string, number>> = constants.signals;
  const realTime = /^RTM(?:IN\+([0-9]{1,2})|AX-([0-9]{1,2}))$/.exec(name);
  const number = /^[0-9]{1,2}$/.test(name)
    ? Number(name)
    : realTime !== null
      ? realTime[1] !== undefined
        ? 34 + Number(realTime[1])
        : 64 - Number(realTime[2])
      : names[`SIG${name}`];
  if (number !== undefined && number >= 1 && number <= 64) return number;
  throw new UruncError("usage", `Invalid signal: ${text}`);
}
