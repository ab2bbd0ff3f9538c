import { lstatSync, mkdirSync } from "node:fs";
import { homedir } from "node:os";
import { isAbsolute, join } from "node:path";
import { UruncError } from "../errors.ts";

/** The user whose directories are meant: the process's. */
export interface Owner {
  uid: number;
  /** Of the user's home. */
  home: string;
  environment: Record<string, string | undefined>;
}

export function currentOwner(): Owner {
  return { uid: process.geteuid?.() ?? 0, home: homedir(), environment: process.env };
}

/**
 * Where a program keeps what goes with the host's boot: `/run/NAME` for root; for another user NAME in the directory of
 * the XDG Base Directory Specification, or `/tmp/NAME-UID` where there is none.
 */
export function runDirectory(name: string, owner: Owner = currentOwner()): string {
  if (owner.uid === 0) return join("/run", name);
  const directory = named(owner, "XDG_RUNTIME_DIR");
  return directory === undefined ? `/tmp/${name}-${owner.uid}` : join(directory, name);
}

/** Where a program keeps what can be made again. */
export function cacheDirectory(name: string, owner: Owner = currentOwner()): string {
  return join(named(owner, "XDG_CACHE_HOME") ?? join(owner.home, ".cache"), name);
}

/** Where a program keeps what its user made or asked for. */
export function dataDirectory(name: string, owner: Owner = currentOwner()): string {
  return join(named(owner, "XDG_DATA_HOME") ?? join(owner.home, ".local/share"), name);
}

/** Where a program keeps what outlives the host's boot and is no work of the user's. */
export function stateDirectory(name: string, owner: Owner = currentOwner()): string {
  return join(named(owner, "XDG_STATE_HOME") ?? join(owner.home, ".local/state"), name);
}

/** The specification has relative ones ignored. */
function named({ environment }: Owner, variable: string): string | undefined {
  const value = environment[variable];
  return value && isAbsolute(value) ? value : undefined;
}

/**
 * Makes a directory that nobody else may look into. One that is there must be the user's own: in `/tmp` another could
 * have made it before.
 *
 * @throws UruncError `state`
 */
export function makeOwnDirectory(path: string, owner: Owner = currentOwner()): void {
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
  } catch (cause) {
    throw new UruncError("state", `cannot make the directory ${path}: ${(cause as Error).message}`, {
      cause,
    });
  }
  const status = lstatSync(path);
  if (status.isDirectory() && status.uid === owner.uid && (status.mode & 0o022) === 0) return;
  throw new UruncError(
    "state",
    `${path} is not a directory of this user alone: remove it, or name another with XDG_RUNTIME_DIR`,
  );
}
