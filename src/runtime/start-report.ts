import { rmSync } from "node:fs";
import { createServer, type Server } from "node:net";
import type { ContainerDirectory } from "../container/directory.ts";
import { UruncError } from "../errors.ts";

/** How long the stand-in may take to call after the engine has started it, in milliseconds. */
const CALL_TIMEOUT = 10_000;
/** How long a call that was made may wait to be noticed, in milliseconds. */
const CALL_LATENCY = 20;
const REPORT_MAX = 8192;

/** Statuses of the protocol's `FAILED`. */
const FROM_THE_GUEST = ["126", "127", "128"];

/** The socket on which the stand-in says whether the application runs (`docs/guest-protocol.md`). */
export class StartReport {
  readonly #directory: ContainerDirectory;
  readonly #server: Server;
  readonly #line: Promise<string>;
  readonly #socket: string;
  #called = false;

  /** @param name of the socket, without its ending */
  constructor(directory: ContainerDirectory, name = "start") {
    this.#directory = directory;
    this.#socket = `${name}.sock`;
    this.#server = createServer();
    this.#line = new Promise((resolve) => {
      this.#server.on("connection", (socket) => {
        this.#called = true;
        let text = "";
        socket.setEncoding("utf8");
        socket.on("data", (part: string) => {
          // What is at the other end shares the sandbox with the monitor: bounded.
          text = (text + part).slice(0, REPORT_MAX);
          if (text.includes("\n")) resolve(text);
        });
        socket.on("error", () => resolve(text));
        socket.on("close", () => resolve(text));
        this.#server.close();
      });
    });
  }

  /**
   * Listens in the state directory, by a relative path: a socket's path may have 107 bytes, a root's may be longer.
   * The process's working directory stays the state directory.
   */
  listen(): Promise<void> {
    process.chdir(this.#directory.vm);
    rmSync(this.#socket, { force: true });
    return new Promise((resolve, reject) => {
      this.#server.on("error", reject);
      this.#server.listen(this.#socket, () => resolve());
    });
  }

  /**
   * Waits for the stand-in's word, once the engine has started it.
   *
   * @param bootTimeout milliseconds from the stand-in's call
   * @throws UruncError `guest`: the application does not run; the sentence says why
   */
  async started(bootTimeout: number): Promise<void> {
    const late = Promise.withResolvers<string>();
    let timer = setTimeout(() => {
      if (this.#called) timer = setTimeout(() => late.resolve(""), bootTimeout);
      else late.resolve("");
    }, CALL_TIMEOUT);
    try {
      this.#judge(await Promise.race([this.#line, late.promise]));
    } finally {
      clearTimeout(timer);
    }
  }

  /**
   * The same without a limit of time, for who sees the stand-in end.
   *
   * @param ended resolves when it has
   * @returns false: it never called, and has said on standard error why
   * @throws UruncError `guest`: as `started`
   */
  async startedBefore(ended: Promise<unknown>): Promise<boolean> {
    const line = await Promise.race([this.#line, ended.then(() => this.#lastWord())]);
    if (line !== undefined) this.#judge(line);
    return line !== undefined;
  }

  /** Its call may be noticed after its end. */
  async #lastWord(): Promise<string | undefined> {
    if (!this.#called) await Bun.sleep(CALL_LATENCY);
    return this.#called ? this.#line : undefined;
  }

  #judge(line: string): void {
    const [, word, rest] = /^(started|failed) ([^\n]*)/.exec(line) ?? [];
    if (word === "started") return;
    if (word === "failed") {
      const [, status = "", sentence = ""] = /^(\d+) (.*)$/.exec(rest ?? "") ?? [];
      // The guest's own word, not the stand-in's: runc's clients look for its sentence.
      const prefix = FROM_THE_GUEST.includes(status) ? "unable to start container process: " : "";
      throw new UruncError(
        "guest",
        `${prefix}${sentence || "the virtual machine failed to start the application"}`,
      );
    }
    throw new UruncError(
      "guest",
      `the virtual machine ended before the application started: see kernel.log and monitor.log in ${this.#directory.vm}`,
    );
  }

  close(): void {
    this.#server.close();
  }
}
