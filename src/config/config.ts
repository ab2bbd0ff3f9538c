import { readFileSync } from "node:fs";
import { parse as parseToml, TomlError } from "smol-toml";
import { MINIMUM_MEMORY_MIB } from "../container/resources.ts";
import { UruncError } from "../errors.ts";

/** The effective configuration of the runtime. */
export interface Config {
  /** The OCI runtime that makes the sandbox: a name looked up in the PATH, or an absolute path. */
  engine: string;
  /** The directory with the guest's files; undefined: beside the executable. */
  share?: string;
  /** What a container without any annotation becomes. */
  unannotated: "vm" | "container";
  /** Milliseconds that a machine may take from the monitor's start until the application runs. */
  bootTimeout: number;
  /** virtiofsd's program, absolute; undefined: where distributions put it. */
  virtiofsd?: string;
  qemu: {
    /** Absolute; undefined: where distributions put it. */
    path?: string;
    /** MiB, for containers without a memory limit. */
    memoryMiB: number;
    /** For containers without a CPU quota. */
    vcpus: number;
    /** The way of a container's files to the guest; undefined: virtiofs where there is a virtiofsd, else 9p. */
    share?: "virtiofs" | "9p";
  };
}

export const DEFAULT_CONFIG: Config = {
  engine: "runc",
  unannotated: "vm",
  bootTimeout: 60_000,
  qemu: { memoryMiB: 256, vcpus: 1 },
};

/** Read when `URUNC_CONFIG_FILE` does not name another. */
export const CONFIG_FILE = "/etc/urunc/config.toml";

/**
 * Reads the configuration. No file at the default place means the defaults; a file that the environment names must
 * be there.
 *
 * @throws UruncError `config-invalid`: unreadable, not TOML, or a value of the wrong type; never the defaults instead
 */
export function loadConfig(environment: Record<string, string | undefined>): Config {
  const named = environment["URUNC_CONFIG_FILE"];
  const path = named || CONFIG_FILE;
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (cause) {
    if (!named && (cause as NodeJS.ErrnoException).code === "ENOENT") return DEFAULT_CONFIG;
    throw new UruncError(
      "config-invalid",
      `cannot read the configuration ${path}: ${(cause as Error).message}`,
      {
        cause,
      },
    );
  }
  return parseConfig(text, path);
}

type Check = (value: unknown) => string | undefined;
type Setter = (config: Config, value: never) => void;

const text: Check = (value) => (typeof value === "string" && value !== "" ? undefined : "must be a string");
const absolutePath: Check = (value) =>
  typeof value === "string" && value.startsWith("/") ? undefined : "must be an absolute path";
const wholeNumber =
  (least: number, most: number): Check =>
  (value) =>
    Number.isInteger(value) && (value as number) >= least && (value as number) <= most
      ? undefined
      : `must be a whole number from ${least} to ${most}`;

const KEYS: Record<string, [check: Check, set: Setter]> = {
  "runtime.engine": [
    text,
    (config, value) => {
      config.engine = value;
    },
  ],
  "runtime.share": [
    absolutePath,
    (config, value) => {
      config.share = value;
    },
  ],
  "runtime.unannotated": [
    (value) => (value === "vm" || value === "container" ? undefined : 'must be "vm" or "container"'),
    (config, value) => {
      config.unannotated = value;
    },
  ],
  "runtime.boot_timeout_ms": [
    wholeNumber(1000, 3_600_000),
    (config, value) => {
      config.bootTimeout = value;
    },
  ],
  "monitors.qemu.path": [
    absolutePath,
    (config, value) => {
      config.qemu.path = value;
    },
  ],
  "monitors.qemu.share": [
    (value) => (value === "virtiofs" || value === "9p" ? undefined : 'must be "virtiofs" or "9p"'),
    (config, value) => {
      config.qemu.share = value;
    },
  ],
  "extra_binaries.virtiofsd.path": [
    absolutePath,
    (config, value) => {
      config.virtiofsd = value;
    },
  ],
  "monitors.qemu.default_memory_mb": [
    wholeNumber(MINIMUM_MEMORY_MIB, 1_048_576),
    (config, value) => {
      config.qemu.memoryMiB = value;
    },
  ],
  "monitors.qemu.default_vcpus": [
    wholeNumber(1, 32),
    (config, value) => {
      config.qemu.vcpus = value;
    },
  ],
};

/**
 * Parses the text of a configuration file.
 *
 * @throws UruncError `config-invalid`, with the line where TOML says it or the key that is wrong
 */
export function parseConfig(source: string, path: string): Config {
  let document: Record<string, unknown>;
  try {
    document = parseToml(source) as Record<string, unknown>;
  } catch (cause) {
    const line = cause instanceof TomlError ? cause.line : undefined;
    // Its message's further lines are an excerpt with a marker.
    const message = (cause instanceof Error ? cause.message : String(cause))
      .split("\n")[0]
      ?.replace("Invalid TOML document: ", "");
    throw new UruncError(
      "config-invalid",
      `the configuration ${path}${line === undefined ? "" : `, line ${line},`} is not TOML: ${message}`,
      { cause },
    );
  }
  const config: Config = structuredClone(DEFAULT_CONFIG);
  for (const [key, value] of flatten(document, "")) {
    const known = KEYS[key];
    if (!known) {
      throw new UruncError(
        "config-invalid",
        `the configuration ${path} has an unknown key ${key}: known are ${Object.keys(KEYS).join(", ")}`,
      );
    }
    const [check, set] = known;
    const wrong = check(value);
    if (wrong) throw new UruncError("config-invalid", `the configuration ${path} has ${key} that ${wrong}`);
    set(config, value as never);
  }
  return config;
}

function* flatten(table: Record<string, unknown>, prefix: string): Generator<[string, unknown]> {
  for (const [name, value] of Object.entries(table)) {
    const key = prefix === "" ? name : `${prefix}.${name}`;
    if (typeof value === "object" && value !== null && !Array.isArray(value)) {
      yield* flatten(value as Record<string, unknown>, key);
    } else {
      yield [key, value];
    }
  }
}
