/** How patient a client is; times in milliseconds. */
export interface Patience {
  /** How often something is tried at most. */
  attempts: number;
  /** The wait after the first failure; each further one is twice as long. */
  firstWait: number;
  longestWait: number;
  /** The longest wait that a server may ask for with `Retry-After`. */
  longestRequestedWait: number;
  /** Without an answer, or without further bytes of one, for this long a connection counts as dead. */
  silence: number;
}

export const DEFAULT_PATIENCE: Patience = {
  attempts: 5,
  firstWait: 500,
  longestWait: 10_000,
  longestRequestedWait: 60_000,
  silence: 60_000,
};

/** Whether an answer's status says that another attempt may do better. */
export function isTransient(status: number): boolean {
  return [408, 425, 429, 500, 502, 503, 504].includes(status);
}

/**
 * Milliseconds until the next attempt.
 *
 * @param attempt the one that failed, from 1
 * @param retryAfter the server's header (RFC 9110, section 10.2.3), seconds or a date
 * @param chance from 0 to 1: many clients shall not come back in one moment
 * @returns undefined if the server wants us to wait longer than we do
 */
export function waitBefore(
  patience: Patience,
  attempt: number,
  retryAfter: string | null,
  now: number,
  chance: number,
): number | undefined {
  if (retryAfter !== null) {
    const seconds = /^\d{1,9}$/.test(retryAfter.trim()) ? Number(retryAfter) : undefined;
    const wait = seconds === undefined ? Date.parse(retryAfter) - now : seconds * 1000;
    if (Number.isFinite(wait)) {
      return wait > patience.longestRequestedWait ? undefined : Math.max(wait, 0);
    }
  }
  const wait = Math.min(patience.firstWait * 2 ** (attempt - 1), patience.longestWait);
  return wait * (0.5 + chance / 2);
}
