/** How much a message matters. */
export type Level = "debug" | "info" | "warning" | "error";

/** The words for a level of the log that other programs' configurations have too, and what they are here. */
export const LEVELS = {
  trace: "debug",
  debug: "debug",
  info: "info",
  warn: "warning",
  warning: "warning",
  error: "error",
  fatal: "error",
  panic: "error",
} as const satisfies Record<string, Level>;

const ORDER: readonly Level[] = ["debug", "info", "warning", "error"];

/** Whether a message is written where the log has messages of `least` and above. */
export function reaches(level: Level, least: Level): boolean {
  return ORDER.indexOf(level) >= ORDER.indexOf(least);
}
