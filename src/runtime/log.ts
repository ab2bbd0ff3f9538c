import { spawnSync } from "node:child_process";
import { appendFileSync } from "node:fs";
import { type Level, reaches } from "../config/log-level.ts";
import { syslogCommand } from "./syslog.ts";

/** For the system's log to take a message. */
const SYSLOG_MILLISECONDS = 1000;

/**
 * The runtime's log in runc's forms, which Docker, containerd and podman read: one line of text or JSON for each
 * message, appended to `--log`, and to the system's log where the configuration wants that. Without `--log` only warnings
 * and errors are shown, on standard error: warnings where that is a terminal, as else it may be the container's own, which
 * podman writes to the container's log.
 */
export class Log {
  readonly #path: string | undefined;
  readonly #format: "text" | "json";
  readonly #debug: boolean;
  #level: Level = "info";
  #syslog = false;

  constructor(path: string | undefined, format: "text" | "json", debug: boolean) {
    this.#path = path;
    this.#format = format;
    this.#debug = debug;
  }

  /** What the configuration says of the log, once that is known. */
  configure({ level, syslog }: { level: Level; syslog: boolean }): void {
    this.#level = level;
    this.#syslog = syslog;
  }

  /** @param message or what makes it, if it is written */
  debug(message: string | (() => string)): void {
    if (!this.#has("debug")) return;
    this.#write("debug", typeof message === "string" ? message : message());
  }

  warning(message: string): void {
    this.#write("warning", message);
    if (!this.#path && process.stderr.isTTY && this.#has("warning"))
      process.stderr.write(`urunc: warning: ${message}\n`);
  }

  /** An error goes to standard error always, for who calls by hand, and to the log, which is what Docker shows. */
  error(message: string): void {
    this.#write("error", message);
    process.stderr.write(`${message}\n`);
  }

  #has(level: Level): boolean {
    return this.#debug || reaches(level, this.#level);
  }

  #write(level: Level, message: string): void {
    if (!this.#has(level)) return;
    if (this.#syslog) this.#send(level, message);
    if (!this.#path) return;
    const time = new Date().toISOString();
    const line =
      this.#format === "json"
        ? JSON.stringify({ level, msg: message, time })
        : `time="${time}" level=${level} msg=${JSON.stringify(message)}`;
    try {
      appendFileSync(this.#path, `${line}\n`, { mode: 0o644 });
    } catch {
      // The message is on standard error too, and a log that cannot be written must not hide the error itself.
    }
  }

  /** A system's log that does not listen is no reason to run nothing. */
  #send(level: Level, message: string): void {
    const [program, ...words] = syslogCommand(level, message);
    spawnSync(program, words, { stdio: "ignore", timeout: SYSLOG_MILLISECONDS });
  }
}
