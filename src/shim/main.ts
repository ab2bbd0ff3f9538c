import { realpathSync } from "node:fs";
import { dirname, join } from "node:path";
import { UruncError } from "../errors.ts";
import { findProgram, isProgram } from "../find-program.ts";
import { runcDirectory, withFirst } from "./runc-directory.ts";

const RUNC_SHIM = "containerd-shim-runc-v2";

/**
 * The command `containerd-shim-urunc-v2`, which containerd looks for when a container's runtime is
 * `io.containerd.urunc.v2`. It becomes containerd's own shim for runc, which finds urunc where it looks for runc. That
 * one starts itself again for what stays resident, so that nothing of this process does.
 *
 * Arguments and environment are handed on as they are, but for the PATH; of descriptors those that a shim is given:
 * standard input, output and error.
 *
 * @param words the command line without the program's name
 * @returns the exit status, if it cannot become the other
 */
export function shim(words: readonly string[]): number {
  try {
    const directory = runcDirectory(realpathSync(process.execPath));
    requireRunc(join(directory, "runc"));
    const program = findShim(words);
    const environment = { ...process.env, PATH: withFirst(process.env["PATH"], directory) };
    process.execve?.(program, [process.argv0, ...words], environment as Record<string, string>);
    throw new UruncError("internal", `cannot become ${program}`);
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    return error instanceof UruncError ? error.exitStatus : 1;
  }
}

/** Without it the container would silently be one of runc's. */
function requireRunc(path: string): void {
  if (isProgram(path) && realpathSync(path) === realpathSync(process.execPath)) return;
  throw new UruncError(
    "files-missing",
    `${path} is not a link to ${process.execPath}: install urunc again with npm run install:system`,
  );
}

/** In the PATH, else beside containerd itself, which says where it is (`-publish-binary`), else where it usually is. */
function findShim(words: readonly string[]): string {
  const published = words.findIndex((word) => /^--?publish-binary$/.test(word));
  const containerd = published < 0 ? undefined : words[published + 1];
  const found = findProgram(RUNC_SHIM, containerd?.startsWith("/") ? { also: [dirname(containerd)] } : {});
  if (found !== undefined) return found;
  throw new UruncError(
    "engine-missing",
    `${RUNC_SHIM} is not installed, which comes with containerd: install it (on Debian: apt-get install containerd), ` +
      "or put it into the PATH that containerd has",
  );
}
