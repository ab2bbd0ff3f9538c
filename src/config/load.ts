import { readFileSync } from "node:fs";
import { UruncError } from "../errors.ts";
import { DEFAULT_CONFIG } from "./config.ts";
import { type ParsedConfig, parseConfig } from "./parse.ts";

/** Read when the environment does not name another. */
export const CONFIG_FILE = "/etc/urunc/config.toml";
export const CONFIG_VARIABLE = "URUNC_CONFIG_FILE";

/** The configuration, and where it comes from. */
export interface LoadedConfig extends ParsedConfig {
  /** The file that was read; undefined: there is none at the default place. */
  path?: string;
}

/**
 * Reads the configuration. No file at the default place means the defaults; a file that the environment names must
 * be there.
 *
 * @throws UruncError `config-invalid`: unreadable, not TOML, or a value of the wrong type; never the defaults instead
 */
export function loadConfig(environment: Record<string, string | undefined>): LoadedConfig {
  const named = environment[CONFIG_VARIABLE];
  const path = named || CONFIG_FILE;
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (cause) {
    if (!named && (cause as NodeJS.ErrnoException).code === "ENOENT") {
      return { config: DEFAULT_CONFIG, warnings: [], lines: () => new Map() };
    }
    const { message } = cause as Error;
    throw new UruncError("config-invalid", `cannot read the configuration ${path}: ${message}`, { cause });
  }
  return { ...parseConfig(text, path), path };
}
