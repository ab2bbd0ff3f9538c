import { readFileSync } from "node:fs";
import { join } from "node:path";
import { IgnoreRules, parseIgnoreFile } from "../containerfile/ignore.ts";
import { UruncError } from "../errors.ts";

/** In the context, in this order; the first is Podman's and Buildah's. */
const NAMES = [".containerignore", ".dockerignore"] as const;

/**
 * The rules that say what of a context is left out: of `FILE.dockerignore` beside the Containerfile, else of
 * `.containerignore` or `.dockerignore` in the context.
 *
 * @param containerfile its path, undefined for standard input
 * @throws UruncError `build-file` for what is no pattern, `build` for a file that cannot be read
 */
export function readIgnoreRules(containerfile: string | undefined, context: string): IgnoreRules {
  const beside = containerfile === undefined ? [] : [`${containerfile}.dockerignore`];
  for (const path of [...beside, ...NAMES.map((name) => join(context, name))]) {
    const text = read(path);
    if (text !== undefined) return parseIgnoreFile(text, path);
  }
  return new IgnoreRules([]);
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    throw new UruncError("build", `cannot read ${path}: ${message}`, { cause });
  }
}
