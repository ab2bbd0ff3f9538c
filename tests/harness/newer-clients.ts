import { mkdtempSync, symlinkSync } from "node:fs";
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
  const directories = [clientPrograms ?? "", ...(process.env["PATH"] ?? "").split(delimiter)];
  for (const directory of directories.filter(Boolean)) {
    const path = join(directory, name);
    const version = versionOf(path);
    if (version !== undefined && isAtLeast(version, least)) return { path, version };
  }
  return undefined;
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
export function directoryOf(programs: readonly NewerProgram[]): string {
  const directory = mkdtempSync(join(tmpdir(), "ur-clients-"));
  for (const { path } of programs) symlinkSync(path, join(directory, path.split("/").at(-1) ?? ""));
  return directory;
}
