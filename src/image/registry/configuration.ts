import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { isAbsolute, join } from "node:path";
import { parse as parseToml, TomlError } from "smol-toml";
import { UruncError } from "../../errors.ts";

/** How one registry is reached: `[registries."HOST"]` of bunny's configuration. */
export interface RegistrySettings {
  /** Plain http; undefined: for loopback addresses only. */
  insecure?: boolean;
  /** Hosts or URLs that are asked before it for what is read, in this order. */
  mirrors: string[];
}

/** The effective configuration of registries, by host as it is in an image's name. */
export type RegistryConfiguration = Readonly<Record<string, RegistrySettings>>;

/** Read where no file of the user's own is there. */
export const SYSTEM_FILE = "/etc/urunc/bunny.toml";

/**
 * Reads bunny's configuration: the file that `BUNNY_CONFIG_FILE` names, which must be there, or else the user's
 * `bunny/config.toml` in the XDG directory for configuration, or else {@link SYSTEM_FILE}. Without any there is none.
 *
 * @throws UruncError `config-invalid`: unreadable, not TOML, an unknown key, a value of the wrong type
 */
export function loadRegistryConfiguration(
  environment: Record<string, string | undefined>,
): RegistryConfiguration {
  const named = environment["BUNNY_CONFIG_FILE"];
  const xdg = environment["XDG_CONFIG_HOME"];
  const home = xdg && isAbsolute(xdg) ? xdg : join(environment["HOME"] || homedir(), ".config");
  for (const path of named ? [named] : [join(home, "bunny/config.toml"), SYSTEM_FILE]) {
    let text: string;
    try {
      text = readFileSync(path, "utf8");
    } catch (cause) {
      if (!named && ["ENOENT", "ENOTDIR"].includes((cause as NodeJS.ErrnoException).code ?? "")) continue;
      throw new UruncError(
        "config-invalid",
        `cannot read the configuration ${path}: ${(cause as Error).message}`,
        { cause },
      );
    }
    return parseRegistryConfiguration(text, path);
  }
  return {};
}

/**
 * Parses the text of a configuration file.
 *
 * @throws UruncError `config-invalid`
 */
export function parseRegistryConfiguration(text: string, path: string): RegistryConfiguration {
  const invalid = (what: string, cause?: unknown) =>
    new UruncError("config-invalid", `the configuration ${path} ${what}`, { cause });
  let document: Record<string, unknown>;
  try {
    document = parseToml(text) as Record<string, unknown>;
  } catch (cause) {
    const line = cause instanceof TomlError ? ` (line ${cause.line})` : "";
    const message = (cause as Error).message.split("\n")[0]?.replace("Invalid TOML document: ", "");
    throw invalid(`is not TOML${line}: ${message}`, cause);
  }
  for (const key of Object.keys(document)) {
    if (key !== "registries") throw invalid(`has an unknown key ${key}: known is registries`);
  }
  const configuration: Record<string, RegistrySettings> = {};
  for (const [host, table] of Object.entries(asTable(document["registries"] ?? {}))) {
    const at = `registries.${JSON.stringify(host)}`;
    const settings: RegistrySettings = { mirrors: [] };
    for (const [key, value] of Object.entries(asTable(table))) {
      if (key === "insecure" && typeof value === "boolean") settings.insecure = value;
      else if (key === "mirrors" && Array.isArray(value) && value.every(isHost)) settings.mirrors = value;
      else if (key === "insecure") throw invalid(`has ${at}.insecure that must be true or false`);
      else if (key === "mirrors") {
        throw invalid(`has ${at}.mirrors that must be a list of hosts, or of URLs with http or https`);
      } else throw invalid(`has an unknown key ${at}.${key}: known are insecure, mirrors`);
    }
    configuration[host] = settings;
  }
  return configuration;

  function asTable(value: unknown): Record<string, unknown> {
    if (typeof value === "object" && value !== null && !Array.isArray(value)) {
      return value as Record<string, unknown>;
    }
    throw invalid("has registries that are no tables");
  }
}

function isHost(value: unknown): value is string {
  return (
    typeof value === "string" &&
    /^(?:https?:\/\/)?[A-Za-z0-9.-]+(?::\d+)?\/?$|^(?:https?:\/\/)?\[[0-9a-fA-F:]+\](?::\d+)?\/?$/.test(value)
  );
}

/** A place where a registry's API is. */
export interface Endpoint {
  /** As `https://registry-1.docker.io`, without a slash at its end. */
  url: string;
  /** The host whose credentials are used, as it is in Docker's configuration. */
  host: string;
}

/** Where a registry itself is. */
export function originOf(registry: string, configuration: RegistryConfiguration): Endpoint {
  const insecure = settingsOf(configuration, registry)?.insecure ?? isLoopback(registry);
  const host = registry === "docker.io" ? "registry-1.docker.io" : registry;
  return { url: `${insecure ? "http" : "https"}://${host}`, host: registry };
}

/** The places where what is in a registry is read, in order; the registry itself is the last. */
export function endpointsOf(registry: string, configuration: RegistryConfiguration): Endpoint[] {
  const mirrors = settingsOf(configuration, registry)?.mirrors ?? [];
  return [
    ...mirrors.map((mirror) => {
      const scheme = /^(https?):\/\//.exec(mirror);
      const host = mirror.replace(/^https?:\/\//, "").replace(/\/$/, "");
      return scheme === null ? originOf(host, configuration) : { url: `${scheme[1]}://${host}`, host };
    }),
    originOf(registry, configuration),
  ];
}

function settingsOf(configuration: RegistryConfiguration, host: string): RegistrySettings | undefined {
  return Object.hasOwn(configuration, host) ? configuration[host] : undefined;
}

function isLoopback(registry: string): boolean {
  const host = registry.replace(/:\d+$/, "");
  return host === "localhost" || host === "[::1]" || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(host);
}
