import { spawn, spawnSync } from "node:child_process";
import { realpathSync } from "node:fs";
import { basename } from "node:path";
import { createInterface } from "node:readline";
import { engineRoot } from "../container/directory.ts";
import { UruncError } from "../errors.ts";
import { findProgram, isProgram } from "../find-program.ts";
import { runcDirectory, withoutDirectory } from "../shim/runc-directory.ts";
import type { Context } from "./context.ts";

/**
 * The installed OCI runtime that makes the sandbox. Only this file knows how it is called.
 *
 * Its own messages go where it writes them: to standard error, and to `--log`, in the form the client reads.
 */
export class Engine {
  readonly path: string;
  readonly #flags: string[];

  /** @throws UruncError `engine-missing` */
  constructor(context: Context) {
    this.path = findEngine(context.config.engine);
    this.#flags = ["--root", engineRoot(context.root), ...context.engineFlags];
  }

  /** Becomes the engine: for verbs that it does right as they are. Does not return. */
  become(words: readonly string[]): never {
    process.execve?.(this.path, [basename(this.path), ...this.#flags, ...words], environment());
    throw new UruncError("internal", `cannot become ${this.path}`);
  }

  /**
   * Runs the engine with this process's standard streams, which become the container's, and waits.
   *
   * @returns its exit status, `ENGINE_KILLED` if a signal ended it
   */
  run(words: readonly string[]): number {
    const result = spawnSync(this.path, [...this.#flags, ...words], { stdio: "inherit", env: environment() });
    if (result.error) throw new UruncError("engine", `cannot run ${this.path}: ${result.error.message}`);
    return result.status ?? ENGINE_KILLED;
  }

  /** As `run`, without blocking this process: for verbs that serve the sandbox meanwhile. */
  async runAside(words: readonly string[]): Promise<number> {
    const child = spawn(this.path, [...this.#flags, ...words], { stdio: "inherit", env: environment() });
    // A terminal's own signals reach the engine too, as it is in the same process group.
    const forwarded = process.stdin.isTTY ? FORWARDED : [...FORWARDED, ...TERMINAL_SIGNALS];
    const forward = (signal: NodeJS.Signals) => void child.kill(signal);
    for (const signal of forwarded) process.on(signal, forward);
    if (process.stdin.isTTY) for (const signal of TERMINAL_SIGNALS) process.on(signal, ignore);
    try {
      return await new Promise((resolve, reject) => {
        child.on("error", (cause) =>
          reject(new UruncError("engine", `cannot run ${this.path}: ${cause.message}`)),
        );
        child.on("exit", (status) => resolve(status ?? ENGINE_KILLED));
      });
    } finally {
      for (const signal of [...FORWARDED, ...TERMINAL_SIGNALS]) {
        process.off(signal, forward);
        process.off(signal, ignore);
      }
    }
  }

  /** Runs the engine and gives what it prints, line by line, until it or this process ends, or it is stopped. */
  follow(
    words: readonly string[],
    line: (text: string) => void,
  ): { ended: Promise<unknown>; stop: () => void } {
    const child = spawn("setpriv", ["--pdeathsig", "KILL", this.path, ...this.#flags, ...words], {
      stdio: ["ignore", "pipe", "ignore"],
      env: environment(),
    });
    const lines = createInterface({ input: child.stdout });
    lines.on("line", line);
    const ended = new Promise((resolve) => {
      child.on("error", resolve);
      child.on("close", resolve);
    });
    return { ended, stop: () => void child.kill("SIGKILL") };
  }

  /** Runs the engine and gives what it printed; its standard error is this process's unless `quiet`. */
  read(words: readonly string[], quiet = false): { status: number; stdout: string } {
    const flags = quiet ? this.#flags.slice(0, 2) : this.#flags;
    const result = spawnSync(this.path, [...flags, ...words], {
      stdio: ["ignore", "pipe", quiet ? "ignore" : "inherit"],
      env: environment(),
      encoding: "utf8",
      maxBuffer: 64 * 1024 * 1024,
    });
    if (result.error) throw new UruncError("engine", `cannot run ${this.path}: ${result.error.message}`);
    return { status: result.status ?? ENGINE_KILLED, stdout: result.stdout };
  }
}

/** The status of an engine that was ended by a signal: a shell's for SIGKILL, which nothing can prevent. */
export const ENGINE_KILLED = 137;

const FORWARDED: NodeJS.Signals[] = ["SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGCONT"];
const TERMINAL_SIGNALS: NodeJS.Signals[] = ["SIGINT", "SIGQUIT"];

function ignore(): void {}

/** As it was before containerd's shim was led to urunc: what the engine and its hooks call runc is runc. */
function environment(): Record<string, string> {
  const path = withoutDirectory(process.env["PATH"], runcDirectory(realpathSync(process.execPath)));
  return { ...(process.env as Record<string, string>), ...(path === undefined ? {} : { PATH: path }) };
}

/**
 * The path of an engine that is named. A name of urunc's own is passed over: it would call itself without end.
 *
 * @throws UruncError `engine-missing`
 */
export function findEngine(engine: string): string {
  const own = realpathSync(process.execPath);
  const isEngine = (path: string) => isProgram(path) && realpathSync(path) !== own;
  if (!engine.includes("/")) {
    const path = findProgram(engine, { accepts: isEngine });
    if (path !== undefined) return path;
  } else if (engine.startsWith("/") && isEngine(engine)) {
    return engine;
  }
  throw new UruncError(
    "engine-missing",
    `the container engine ${engine} is not installed: install it (on Debian: apt-get install ${basename(engine)}), ` +
      "or name another with runtime.engine in /etc/urunc/config.toml",
  );
}

/** @throws UruncError `engine`: not JSON */
export function parseEngineJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new UruncError("engine", `the engine's answer is not JSON: ${text.slice(0, 200)}`, { cause });
  }
}
