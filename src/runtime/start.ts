import { existsSync, rmSync } from "node:fs";
import { type AddressInfo, createServer, type Server } from "node:net";
import { ContainerDirectory } from "../container/directory.ts";
import { UruncError } from "../errors.ts";
import { removeNetwork } from "../network/apply.ts";
import type { Context } from "./context.ts";
import { onlyId } from "./create.ts";
import { Engine } from "./engine.ts";
import { parseFlags } from "./flags.ts";
import { prepareLaunch, readPid } from "./launch.ts";

/** `urunc start`: starts the machine and waits until the application runs in it. */
export async function start(context: Context, words: readonly string[]): Promise<number> {
  const id = onlyId(parseFlags(words, {}, "urunc start"), "start");
  const engine = new Engine(context);
  const directory = new ContainerDirectory(context.root, id);
  const record = directory.read();
  const pid = readPid(directory);
  // The engine knows best what to say of a container that is not there, or that was started before.
  if (record?.kind !== "vm" || pid === undefined || existsSync(directory.launch)) engine.become(["start", id]);
  await prepareLaunch(directory, record, pid);
  const report = new StartReport(directory);
  try {
    await report.listen();
    const status = await engine.runAside(["start", id]);
    if (status !== 0) {
      rmSync(directory.launch, { force: true });
      await removeNetwork(`/proc/${pid}/ns/net`, id);
      return status;
    }
    await report.started(record.bootTimeout);
  } finally {
    report.close();
  }
  return 0;
}

/** How long the stand-in may take to call after the engine has started it, in milliseconds. */
const CALL_TIMEOUT = 10_000;
const REPORT_MAX = 8192;

/** The socket on which the stand-in says whether the application runs (`docs/guest-protocol.md`). */
class StartReport {
  readonly #directory: ContainerDirectory;
  readonly #server: Server;
  readonly #line: Promise<string>;
  #called = false;

  constructor(directory: ContainerDirectory) {
    this.#directory = directory;
    this.#server = createServer();
    this.#line = new Promise((resolve) => {
      this.#server.on("connection", (socket) => {
        this.#called = true;
        let text = "";
        socket.setEncoding("utf8");
        socket.on("data", (part: string) => {
          // What is at the other end shares the sandbox with the monitor: bounded.
          text = (text + part).slice(0, REPORT_MAX);
        });
        socket.on("error", () => resolve(text));
        socket.on("close", () => resolve(text));
        this.#server.close();
      });
    });
  }

  /** Listens in the state directory, by a relative path: a socket's path may have 107 bytes, a root's may be longer. */
  listen(): Promise<void> {
    process.chdir(this.#directory.vm);
    rmSync("start.sock", { force: true });
    return new Promise((resolve, reject) => {
      this.#server.on("error", reject);
      this.#server.listen("start.sock", () => resolve());
    });
  }

  /** @throws UruncError `guest`: the application does not run; the sentence says why */
  async started(bootTimeout: number): Promise<void> {
    const line = await Promise.race([this.#line, this.#lateness(bootTimeout)]);
    const [, word, rest] = /^(started|failed) ([^\n]*)/.exec(line) ?? [];
    if (word === "started") return;
    if (word === "failed") {
      const [, status = "", sentence = ""] = /^(\d+) (.*)$/.exec(rest ?? "") ?? [];
      // 126 and 127 are the shell's words for "cannot be run" and "not found": runc's clients look for its sentence.
      const prefix = status === "126" || status === "127" ? "unable to start container process: " : "";
      throw new UruncError("guest", `${prefix}${sentence || "the virtual machine failed to start the application"}`);
    }
    throw new UruncError(
      "guest",
      `the virtual machine ended before the application started: see kernel.log and monitor.log in ${this.#directory.vm}`,
    );
  }

  async #lateness(bootTimeout: number): Promise<string> {
    await Bun.sleep(CALL_TIMEOUT);
    if (!this.#called) return "";
    await Bun.sleep(bootTimeout);
    return "";
  }

  close(): void {
    this.#server.close();
  }
}

export type { AddressInfo };
