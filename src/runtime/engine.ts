import { spawn, spawnSync } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { basename, join } from "node:path";
import { engineRoot } from "../container/directory.ts";
import { UruncError } from "../errors.ts";
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
   * @param preserveFds how many descriptors from 3 on are handed down
   * @returns its exit status (128 + n for signal n)
   */
  run(words: readonly string[], options: { cwd?: string; preserveFds?: number } = {}): number {
    const handed = Array.from({ length: options.preserveFds ?? 0 }, (_, index) => 3 + index);
    const result = spawnSync(this.path, [...this.#flags, ...words], {
      stdio: ["inherit", "inherit", "inherit", ...handed],
      env: environment(),
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    });
    if (result.error) throw new UruncError("engine", `cannot run ${this.path}: ${result.error.message}`);
    return result.status ?? 128 + 9;
  }

  /** As `run`, without blocking this process: for verbs that serve the sandbox meanwhile. */
  runAside(words: readonly string[]): Promise<number> {
    return new Promise((resolve, reject) => {
      const child = spawn(this.path, [...this.#flags, ...words], { stdio: "inherit", env: environment() });
      child.on("error", (cause) => reject(new UruncError("engine", `cannot run ${this.path}: ${cause.message}`)));
      child.on("exit", (status) => resolve(status ?? 128 + 9));
    });
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
    return { status: result.status ?? 128 + 9, stdout: result.stdout };
  }
}

function environment(): Record<string, string> {
  return process.env as Record<string, string>;
}

/** Where distributions put runtimes, for callers whose PATH is poor. */
const USUAL_PLACES = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

function findEngine(engine: string): string {
  const places = engine.includes("/") ? [""] : [...(process.env["PATH"] ?? "").split(":"), ...USUAL_PLACES];
  for (const place of places) {
    const path = place === "" ? engine : join(place, engine);
    if (!path.startsWith("/")) continue;
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // Looked for in the next place.
    }
  }
  throw new UruncError(
    "engine-missing",
    `the container engine ${engine} is not installed: install it (on Debian: apt-get install ${basename(engine)}), ` +
      "or name another with runtime.engine in /etc/urunc/config.toml",
  );
}
