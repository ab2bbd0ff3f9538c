import { appendFileSync } from "node:fs";

export type Level = "debug" | "info" | "warning" | "error";

/**
 * The runtime's log in runc's forms, which Docker, containerd and podman read: one line of text or JSON for each
 * message, appended to `--log`. Without `--log` only warnings and errors are shown, on standard error.
 */
export class Log {
  readonly #path: string | undefined;
  readonly #format: "text" | "json";
  readonly #debug: boolean;

  constructor(path: string | undefined, format: "text" | "json", debug: boolean) {
    this.#path = path;
    this.#format = format;
    this.#debug = debug;
  }

  debug(message: string): void {
    if (this.#debug) this.#write("debug", message);
  }

  warning(message: string): void {
    this.#write("warning", message);
    if (!this.#path) process.stderr.write(`urunc: warning: ${message}\n`);
  }

  /** An error goes to standard error always, for who calls by hand, and to the log, which is what Docker shows. */
  error(message: string): void {
    this.#write("error", message);
    process.stderr.write(`${message}\n`);
  }

  #write(level: Level, message: string): void {
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
}
