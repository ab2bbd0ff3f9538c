import { existsSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { UruncError } from "../errors.ts";

/** What a build is told by. */
export interface BuildFile {
  kind: "bunnyfile" | "containerfile";
  text: string;
  /** For sentences. */
  name: string;
  /** Undefined for standard input. */
  path?: string;
}

/** Looked for in the context where no file is named, in this order. */
export const BUILD_FILE_NAMES = ["bunnyfile", "Containerfile", "Dockerfile"] as const;
/** As `Dockerfile`, `Containerfile.test`, `web.dockerfile`. */
const CONTAINERFILE_NAME = /^(?:Container|Docker)file(?:\..*)?$|\.(?:container|docker)file$/i;

/**
 * Reads the build file.
 *
 * @param named as the flag `--file` has it; `-` is standard input
 * @throws UruncError `build` if there is none
 */
export function readBuildFile(named: string | undefined, context: string): BuildFile {
  const path = named ?? BUILD_FILE_NAMES.map((name) => join(context, name)).find((one) => existsSync(one));
  if (path === undefined) {
    throw new UruncError(
      "build",
      `${context} has no ${BUILD_FILE_NAMES.join(", ")}: name the build file with --file`,
    );
  }
  const name = path === "-" ? "standard input" : path;
  let text: string;
  try {
    const bytes = readFileSync(path === "-" ? 0 : path);
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new UruncError("build", `cannot read the build file ${name}: ${(cause as Error).message}`, {
      cause,
    });
  }
  return { kind: buildFileKind(text, name), text, name, ...(path === "-" ? {} : { path }) };
}

/**
 * A Containerfile begins with FROM, or with ARG before that. What is called as one is one too, if it has a mistake there
 * and does not begin with a key of a bunnyfile. All else is a bunnyfile.
 */
export function buildFileKind(text: string, name: string): BuildFile["kind"] {
  const lines = text.split("\n").map((line) => line.trim());
  const first = lines.find((line) => line !== "" && !line.startsWith("#")) ?? "";
  if (/^(?:FROM|ARG)\s/i.test(first)) return "containerfile";
  const isCalledOne = CONTAINERFILE_NAME.test(basename(name));
  return isCalledOne && !/^["']?\w+["']?\s*:/.test(first) ? "containerfile" : "bunnyfile";
}
