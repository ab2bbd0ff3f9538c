import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { UruncError } from "../errors.ts";

/** What a build is told by. */
export interface BuildFile {
  kind: "bunnyfile" | "containerfile";
  text: string;
  /** For sentences. */
  name: string;
}

/** Looked for in the context where no file is named, in this order. */
const NAMES = ["bunnyfile", "Containerfile", "Dockerfile"] as const;

/**
 * Reads the build file.
 *
 * @param named as the flag `--file` has it; `-` is standard input
 * @throws UruncError `build` if there is none
 */
export function readBuildFile(named: string | undefined, context: string): BuildFile {
  const path = named ?? NAMES.map((name) => join(context, name)).find((one) => existsSync(one));
  if (path === undefined) {
    throw new UruncError("build", `${context} has no ${NAMES.join(", ")}: name the build file with --file`);
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
  return { kind: buildFileKind(text), text, name };
}

/** A Containerfile begins with FROM, or with ARG before that; all else is a bunnyfile. */
export function buildFileKind(text: string): BuildFile["kind"] {
  for (const line of text.split("\n")) {
    const words = line.trim();
    if (words === "" || words.startsWith("#")) continue;
    return /^(?:FROM|ARG)\s/i.test(words) ? "containerfile" : "bunnyfile";
  }
  return "bunnyfile";
}
