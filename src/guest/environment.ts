import { UruncError } from "../errors.ts";

/**
 * The environment as runc makes it: of a name that occurs twice, the last value in the first one's place (Go's
 * `Setenv`, one variable after the other).
 *
 * @throws UruncError `bundle-invalid`, in runc's words: an entry is no `NAME=VALUE`
 */
export function normalEnvironment(entries: readonly string[]): string[] {
  const values = new Map<string, string>();
  for (const entry of entries) {
    const at = entry.indexOf("=");
    if (at < 0) throw invalid(`invalid environment variable: ${JSON.stringify(entry)}`);
    if (at === 0) throw invalid(`environment variable name can't be empty: ${JSON.stringify(entry)}`);
    values.set(entry.slice(0, at), entry);
  }
  return [...values.values()];
}

function invalid(what: string): UruncError {
  return new UruncError(
    "bundle-invalid",
    `unable to start container process: error during container init: ${what}`,
  );
}
