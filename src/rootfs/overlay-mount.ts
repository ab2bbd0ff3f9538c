import type { OverlayPrefix } from "../image/layers/overlay.ts";
import { withoutEscapes } from "./mount-table.ts";

/** The directories of an overlay mount, as its options name them: absolute, or relative to where it was mounted from. */
export interface OverlayDirectories {
  /** The topmost first; at least one. */
  readonly lower: readonly string[];
  /** Undefined: the mount is read-only. */
  readonly upper?: string;
  readonly prefix: OverlayPrefix;
}

/**
 * The directories of an overlay.
 *
 * @param superOptions as `/proc/self/mountinfo` has them
 * @returns undefined where files of a layer may be elsewhere: there are layers of data alone
 */
export function overlayDirectories(superOptions: string): OverlayDirectories | undefined {
  let lower: string[] = [];
  let upper: string | undefined;
  let prefix: OverlayPrefix = "trusted.overlay.";
  for (const option of superOptions.split(",")) {
    const at = option.indexOf("=");
    const name = at < 0 ? option : option.slice(0, at);
    const value = at < 0 ? "" : withoutEscapes(option.slice(at + 1));
    if (name === "lowerdir") lower = [...lower, ...splitLower(value)];
    // Linux 6.8 and later: one option for each, nothing in it is escaped.
    else if (name === "lowerdir+") lower = [...lower, value];
    else if (name === "datadir+") return undefined;
    else if (name === "upperdir") upper = value.replaceAll(ESCAPED, "$1");
    else if (name === "userxattr") prefix = "user.overlay.";
  }
  // "::" stands before layers of data alone.
  if (lower.length === 0 || lower.includes("")) return undefined;
  return { lower, ...(upper === undefined ? {} : { upper }), prefix };
}

const ESCAPED = /\\(.)/gsu;

/** At colons without a backslash before them; a backslash stands before what is meant as it is. */
function splitLower(value: string): string[] {
  const parts = value.match(/(?:\\.|[^:\\])+|:(?=:|$)|^:/gsu) ?? [];
  return parts.map((part) => (part === ":" ? "" : part.replaceAll(ESCAPED, "$1")));
}
