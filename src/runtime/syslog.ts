import type { Level } from "../config/log-level.ts";

/** syslog's names of severities (RFC 5424, 6.2.1). */
const SEVERITIES = { debug: "debug", info: "info", warning: "warning", error: "err" } as const;

/** Characters of a message at most: in ASCII, what RFC 5424, 6.1 has every receiver take, less a header. */
const MESSAGE_MOST = 1900;

/** The command that writes a message to the system's log: `logger` of bsdutils, which all systems have. */
export function syslogCommand(level: Level, message: string): [program: string, ...words: string[]] {
  const text = message.replaceAll("\n", " ").slice(0, MESSAGE_MOST);
  return ["logger", "--tag", "urunc", "--id", "--priority", `daemon.${SEVERITIES[level]}`, "--", text];
}
