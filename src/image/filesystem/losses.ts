import { shown } from "../layers/tree.ts";
import type { Loss } from "./result.ts";

/** One line for each kind of loss, for the user. */
export function losses(all: readonly Loss[]): string[] {
  return [...Map.groupBy(all, ({ what }) => what)].map(([what, lost]) => {
    const first = shown((lost[0] as Loss).path);
    const rest = lost.length === 1 ? "" : ` and ${lost.length - 1} more`;
    return `warning: without ${what}, which this form does not have: ${first}${rest}`;
  });
}
