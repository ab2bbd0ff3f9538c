import { basename } from "node:path";
import { UruncError } from "../errors.ts";
import { findEngine } from "../runtime/engine.ts";
import { libraryVersion } from "../seccomp/libseccomp.ts";
import type { Finding, Group } from "./finding.ts";
import { outputOf } from "./program.ts";

/** What makes the sandbox. */
export async function engineFindings(configured: string): Promise<Group> {
  return { name: "Sandbox", findings: [engineFinding(configured), judgeLibseccomp(await libraryVersion())] };
}

function engineFinding(configured: string): Finding {
  try {
    const path = findEngine(configured);
    return judgeEngine(path, outputOf(path, "--version"));
  } catch (error) {
    if (!(error instanceof UruncError)) throw error;
    return {
      what: "engine",
      state: "not",
      found: `${configured} is not installed`,
      remedy: `apt-get install ${basename(configured)}, or name another with runtime.engine`,
    };
  }
}

/** @param said what `--version` prints: `runc version 1.1.5+ds1`, `crun version 1.8.1` */
export function judgeEngine(path: string, said: string | undefined): Finding {
  const [, name, version] = /^(\S+) version (\S+)/.exec(said ?? "") ?? [];
  if (name === undefined) {
    return {
      what: "engine",
      state: "not",
      found: `${path} does not say what version of which engine it is`,
      remedy: "apt-get install runc, and name it with runtime.engine",
    };
  }
  const verified = name === "runc" ? "" : "; only runc is verified";
  return { what: "engine", state: "ok", found: `${path}, ${name} ${version}${verified}` };
}

export function judgeLibseccomp(version: string | undefined): Finding {
  if (version !== undefined) return { what: "libseccomp", state: "ok", found: `version ${version}` };
  return {
    what: "libseccomp",
    state: "not",
    found: "not installed: no container with a system call filter runs, which Docker's all have",
    remedy: "apt-get install libseccomp2",
  };
}
