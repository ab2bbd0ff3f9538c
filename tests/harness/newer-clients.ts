import { mkdirSync, mkdtempSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { clientPrograms } from "./docker-layout.ts";

/** A program of this machine that is newer than Debian 12's. */
export interface NewerProgram {
  readonly path: string;
  readonly version: string;
}

/**
 * The first program of that name of at least a version, in the directory of `URUNC_TEST_CLIENTS` and
 * then in the PATH; undefined where there is none.
 */
export function findNewer(name: string, least: `${number}.${number}`): NewerProgram | undefined {
  for (const directory of places()) {
    const path = join(directory, name);
    const version = versionOf(path);
    if (version !== undefined && isAtLeast(version, least)) return { path, version };
  }
  return undefined;
}

/** Whether the first program of that name, which the tests' daemons are started with, is of at least a version. */
export function isNewer(name: string, least: `${number}.${number}`): boolean {
  const version = places()
    .map((directory) => versionOf(join(directory, name)))
    .find((one) => one !== undefined);
  return version !== undefined && isAtLeast(version, least);
}

function places(): string[] {
  return [clientPrograms ?? "", ...(process.env["PATH"] ?? "").split(delimiter)].filter(Boolean);
}

/** All of them, or undefined if one is missing. */
export function allOf(...programs: (NewerProgram | undefined)[]): NewerProgram[] | undefined {
  const found = programs.filter((one) => one !== undefined);
  return found.length === programs.length ? found : undefined;
}

function isAtLeast(version: string, least: string): boolean {
  const [[major = 0, minor = 0], [leastMajor = 0, leastMinor = 0]] = [version, least].map((one) =>
    one.split(".").map((part) => Number.parseInt(part, 10)),
  ) as [number[], number[]];
  return major > leastMajor || (major === leastMajor && minor >= leastMinor);
}

/** The first number with a dot of what it says, or undefined where there is no such program. */
function versionOf(path: string): string | undefined {
  try {
    const { stdout, exitCode } = Bun.spawnSync([path, path.includes("shim") ? "-v" : "--version"]);
    return exitCode === 0 ? /\bv?(\d+\.\d[\w.-]*)/.exec(stdout.toString())?.[1] : undefined;
  } catch {
    return undefined;
  }
}

/** A new directory in which these programs are, and nothing else of where they come from. */
export function directoryOf(
  programs: readonly NewerProgram[],
  directory = mkdtempSync(join(tmpdir(), "ur-clients-")),
): string {
  mkdirSync(directory, { recursive: true });
  for (const { path } of programs) symlinkSync(path, join(directory, path.split("/").at(-1) ?? ""));
  return directory;
}
