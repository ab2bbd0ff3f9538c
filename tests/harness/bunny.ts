import { chmodSync, chownSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { type CommandOptions, type CommandResult, command, succeed } from "./command.ts";

/** Who calls bunny. The ordinary user is in no list of the host's, and nobody else's. */
export type Caller = "root" | "an ordinary user";

const ORDINARY = 54_321;
const DIST = resolve(import.meta.dir, "../../dist");

/** A user's bunny: an installation that the user can read, and places of its own. */
export interface BunnyHome {
  readonly directory: string;
  /** Where machines' directories are. */
  readonly machines: string;
  /** Where the images' file systems are. */
  readonly roots: string;
  readonly store: string;
  /** Runs bunny to its end. */
  run(args: readonly string[], options?: CommandOptions): Promise<CommandResult>;
  /** Runs bunny, which must succeed; gives its standard output without the last line's end. */
  succeed(...args: string[]): Promise<string>;
  /** What runs bunny, before its arguments, and the environment for it. */
  readonly argv: readonly string[];
  readonly environment: Record<string, string>;
  /** Makes a directory that belongs to the user. */
  makeDirectory(name: string): string;
  /** Ends all machines, and removes everything. */
  remove(): Promise<void>;
}

export async function makeBunnyHome(caller: Caller): Promise<BunnyHome> {
  const directory = mkdtempSync(join(tmpdir(), "bunny-run-"));
  const own = (path: string) => {
    if (caller !== "root") chownSync(path, ORDINARY, ORDINARY);
    return path;
  };
  const makeDirectory = (name: string) => {
    const path = join(directory, name);
    mkdirSync(path, { recursive: true });
    return own(path);
  };
  chmodSync(directory, 0o755);
  // The checkout may be where only root can look.
  await succeed(["cp", "-a", "--reflink=auto", DIST, join(directory, "dist")]);
  const environment = {
    PATH: `${join(directory, "dist/bin")}:${process.env["PATH"] ?? ""}`,
    HOME: makeDirectory("home"),
    TMPDIR: makeDirectory("tmp"),
    XDG_RUNTIME_DIR: makeDirectory("run"),
  };
  chmodSync(environment.XDG_RUNTIME_DIR, 0o700);
  const as = ["setpriv", `--reuid=${ORDINARY}`, `--regid=${ORDINARY}`, "--clear-groups"];
  const argv = [...(caller === "root" ? [] : as), "bunny"];
  const machines = join(environment.HOME, ".local/state/bunny/machines");
  const run = (args: readonly string[], options: CommandOptions = {}) =>
    command([...argv, ...args], { ...options, env: { ...environment, ...options.env } });
  return {
    directory,
    machines,
    roots: join(environment.HOME, ".cache/bunny/roots"),
    store: join(environment.HOME, ".local/share/bunny"),
    argv,
    environment,
    makeDirectory,
    run,
    async succeed(...args) {
      const { exitCode, stdout, stderr } = await run(args);
      if (exitCode !== 0) throw new Error(`bunny ${args.join(" ")}: ${exitCode}\n${stdout}${stderr}`);
      return stdout.trimEnd();
    },
    async remove() {
      const left = existsSync(machines) ? readdirSync(machines) : [];
      if (left.length > 0) await run(["rm", "-f", ...left]);
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
