import { resolve } from "node:path";
import type { Config } from "../config/config.ts";
import { loadConfig } from "../config/load.ts";
import { makeOwnDirectory, runDirectory } from "../config/own-directories.ts";
import { UruncError } from "../errors.ts";
import { type FlagSpecs, parseFlags } from "./flags.ts";
import { Log } from "./log.ts";

/** What every verb gets: the global flags, the configuration and the log. */
export interface Context {
  /** Absolute. */
  root: string;
  config: Config;
  /** What of its file has no effect: for the log of who creates a container. */
  configWarnings: readonly string[];
  log: Log;
  /** The global flags that the engine gets too, as words. */
  engineFlags: string[];
}

export const GLOBAL_FLAGS: FlagSpecs = {
  debug: { kind: "boolean", help: "write debugging messages to the log" },
  log: { kind: "string", help: "the log's file (default: standard error)" },
  "log-format": { kind: "string", help: "the log's format: text or json" },
  root: {
    kind: "string",
    help: "the directory for the containers' state (default: /run/urunc, without root $XDG_RUNTIME_DIR/urunc)",
  },
  criu: { kind: "string", help: "ignored, as runc does" },
  "systemd-cgroup": { kind: "boolean", help: "cgroups through systemd: cgroupsPath is slice:prefix:name" },
  "cgroup-manager": { kind: "string", help: "cgroupfs or systemd, as crun has it" },
  rootless: { kind: "string", help: "true, false or auto: ignore cgroup permission errors" },
  help: { kind: "boolean", short: "h", help: "show help" },
  version: { kind: "boolean", short: "v", help: "print the version" },
};

/** Of the host's boot. Without root it may be in `/tmp`, where another could have made it: it is made here then. */
export function defaultRoot(): string {
  const path = runDirectory("urunc");
  if (process.geteuid?.() !== 0) makeOwnDirectory(path);
  return path;
}

/**
 * Makes a verb's context of the global flags.
 *
 * @returns the context, and what follows the global flags: the verb and its words
 * @throws UruncError `usage`, `config-invalid`
 */
export function parseGlobal(words: readonly string[]): {
  flags: ReturnType<typeof parseFlags>;
  log: Log;
  context: () => Context;
} {
  const flags = parseFlags(words, GLOBAL_FLAGS, "urunc");
  const { strings, booleans } = flags;
  const format = strings["log-format"] ?? "text";
  if (format !== "text" && format !== "json") {
    throw new UruncError("usage", `unknown log-format ${JSON.stringify(format)}: use text or json`);
  }
  const logPath = strings["log"] ? resolve(strings["log"]) : undefined;
  const log = new Log(logPath, format, booleans["debug"] === true);
  const context = (): Context => {
    const engineFlags: string[] = [];
    if (logPath) engineFlags.push("--log", logPath, "--log-format", format);
    if (booleans["debug"]) engineFlags.push("--debug");
    if (strings["rootless"] !== undefined) engineFlags.push("--rootless", strings["rootless"]);
    if (booleans["systemd-cgroup"] || usesSystemd(strings["cgroup-manager"]))
      engineFlags.push("--systemd-cgroup");
    const { config, warnings } = loadConfig(process.env);
    log.configure(config.log);
    return {
      root: resolve(strings["root"] || defaultRoot()),
      config,
      configWarnings: warnings,
      log,
      engineFlags,
    };
  };
  return { flags, log, context };
}

function usesSystemd(manager: string | undefined): boolean {
  if (manager === undefined || manager === "cgroupfs") return false;
  if (manager === "systemd") return true;
  throw new UruncError(
    "usage",
    `--cgroup-manager ${JSON.stringify(manager)} is not supported: use cgroupfs or systemd`,
  );
}
