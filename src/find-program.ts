import { accessSync, constants, statSync } from "node:fs";

/** Where distributions put programs, for callers whose PATH is poor. */
const USUAL_PLACES = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

export interface ProgramSearch {
  /** Absolute directories between those of the PATH and the usual ones. */
  also?: readonly string[];
  /** Whether a path is the program (default: `isProgram`). */
  accepts?(path: string): boolean;
}

/** The path of a program by its name: the first in the caller's PATH, then where distributions put programs. */
export function findProgram(
  name: string,
  { also = [], accepts = isProgram }: ProgramSearch = {},
): string | undefined {
  const places = [...(process.env["PATH"] ?? "").split(":"), ...also, ...USUAL_PLACES];
  return places.map((place) => `${place}/${name}`).find((path) => path.startsWith("/") && accepts(path));
}

/** Whether a path, behind all links, is a file that may be executed. */
export function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}
