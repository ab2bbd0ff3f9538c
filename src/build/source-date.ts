import { UruncError } from "../errors.ts";

/** What superblocks have room for: 32 bits. */
const MAX_TIME = 0xffff_ffff;

/**
 * `SOURCE_DATE_EPOCH` of an environment (reproducible-builds.org): seconds since 1970 that nothing of a build is newer
 * than.
 *
 * @returns undefined where it is not set
 * @throws UruncError `usage`
 */
export function sourceDateEpoch(environment: Record<string, string | undefined>): number | undefined {
  const text = environment["SOURCE_DATE_EPOCH"];
  if (text === undefined || text === "") return undefined;
  const time = Number(text);
  if (!/^[0-9]+$/.test(text) || time > MAX_TIME) {
    throw new UruncError(
      "usage",
      `SOURCE_DATE_EPOCH is a number of seconds up to ${MAX_TIME}, not ${JSON.stringify(text)}`,
    );
  }
  return time;
}
