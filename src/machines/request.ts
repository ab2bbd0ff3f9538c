import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { UruncError } from "../errors.ts";
import { checkName } from "./names.ts";
import { parseAllPublished, type WantedPort } from "./ports.ts";
import { type SignalNumber, signalNumber } from "./signals.ts";
import type { WordSpecs, Words } from "./words.ts";

/** What `bunny run` was asked for, checked, before anything of the image is known. */
export interface RunRequest {
  image: string;
  args: string[];
  name?: string;
  hostname?: string;
  detach: boolean;
  interactive: boolean;
  terminal: boolean;
  remove: boolean;
  readOnly: boolean;
  pull: "missing" | "always" | "never";
  network: "user" | "none";
  /** `NAME=VALUE`, or `NAME` alone for a variable that is to be left out. */
  env: string[];
  workingDir?: string;
  user?: string;
  volumes: Volume[];
  tmpfs: { destination: string; options: string[] }[];
  ports: WantedPort[];
  /** Bytes. */
  memory?: number;
  /** CPUs, in billionths. */
  nanoCpus?: number;
  /** An empty one: the image's is taken away. */
  entrypoint?: string;
  labels: Record<string, string>;
  stopSignal?: SignalNumber;
}

export interface Volume {
  /** Absolute. */
  source: string;
  destination: string;
  readOnly: boolean;
}

export const RUN_WORDS: WordSpecs = {
  rm: { kind: "boolean" },
  detach: { kind: "boolean", short: "d" },
  interactive: { kind: "boolean", short: "i" },
  tty: { kind: "boolean", short: "t" },
  env: { kind: "strings", short: "e" },
  "env-file": { kind: "strings" },
  workdir: { kind: "string", short: "w" },
  user: { kind: "string", short: "u" },
  volume: { kind: "strings", short: "v" },
  publish: { kind: "strings", short: "p" },
  memory: { kind: "string", short: "m" },
  cpus: { kind: "string" },
  name: { kind: "string" },
  hostname: { kind: "string", short: "h" },
  entrypoint: { kind: "string" },
  network: { kind: "string" },
  net: { kind: "string" },
  pull: { kind: "string" },
  "read-only": { kind: "boolean" },
  tmpfs: { kind: "strings" },
  label: { kind: "strings", short: "l" },
  "stop-signal": { kind: "string" },
  quiet: { kind: "boolean", short: "q" },
  store: { kind: "string" },
  platform: { kind: "string" },
  help: { kind: "boolean" },
};

/**
 * Makes a request of the words of `bunny run`.
 *
 * @param environment whose variables `-e NAME` takes over
 * @throws UruncError `usage`
 */
export function readRequest(words: Words, environment: Record<string, string | undefined>): RunRequest {
  const { strings, booleans, lists, rest } = words;
  const [image, ...args] = rest;
  if (image === undefined) {
    throw new UruncError("usage", 'bunny run requires at least 1 argument, an image: see "bunny run --help"');
  }
  const network = choice("network", strings["network"] ?? strings["net"] ?? "user", ["user", "none"]);
  const ports = parseAllPublished(lists["publish"] ?? []);
  if (network === "none" && ports.length > 0) {
    throw new UruncError("usage", "conflicting options: port publishing and the network none");
  }
  const request: RunRequest = {
    image,
    args,
    detach: booleans["detach"] === true,
    interactive: booleans["interactive"] === true,
    terminal: booleans["tty"] === true,
    remove: booleans["rm"] === true,
    readOnly: booleans["read-only"] === true,
    pull: choice("pull", strings["pull"] ?? "missing", ["missing", "always", "never"]),
    network,
    env: [
      ...(lists["env-file"] ?? []).flatMap((path) => readEnvFile(path, environment)),
      ...(lists["env"] ?? []).map((text) => readVariable(text, environment)),
    ],
    volumes: (lists["volume"] ?? []).map(parseVolume),
    tmpfs: (lists["tmpfs"] ?? []).map(parseTmpfs),
    ports,
    labels: Object.fromEntries((lists["label"] ?? []).map(parseLabel)),
  };
  const doubled = duplicate([...request.volumes, ...request.tmpfs].map(({ destination }) => destination));
  if (doubled !== undefined) throw new UruncError("usage", `Duplicate mount point: ${doubled}`);
  if (strings["name"] !== undefined) request.name = checkName(strings["name"]);
  if (strings["hostname"] !== undefined) request.hostname = checkHostname(strings["hostname"]);
  if (strings["workdir"] !== undefined)
    request.workingDir = absolute("working directory", strings["workdir"]);
  if (strings["user"] !== undefined) request.user = strings["user"];
  if (strings["memory"] !== undefined) request.memory = parseMemory(strings["memory"]);
  if (strings["cpus"] !== undefined) request.nanoCpus = parseCpus(strings["cpus"]);
  if (strings["entrypoint"] !== undefined) request.entrypoint = strings["entrypoint"];
  if (strings["stop-signal"] !== undefined) request.stopSignal = signalNumber(strings["stop-signal"]);
  return request;
}

function choice<T extends string>(flag: string, value: string, known: readonly T[]): T {
  const found = known.find((one) => one === value);
  if (found !== undefined) return found;
  throw new UruncError(
    "usage",
    `invalid ${flag} option: ${JSON.stringify(value)}: must be one of ${known.map((one) => JSON.stringify(one)).join(", ")}`,
  );
}

/**
 * A variable of the flag `--env`: one without a value has that of the environment, if any.
 *
 * @throws UruncError `usage`
 */
export function readVariable(text: string, environment: Record<string, string | undefined>): string {
  if (text === "" || text.startsWith("="))
    throw new UruncError("usage", `invalid environment variable: ${text}`);
  if (text.includes("=")) return text;
  const value = environment[text];
  return value === undefined ? text : `${text}=${value}`;
}

/** Lines `NAME=VALUE` or `NAME`; empty ones and those that begin with `#` are none. */
function readEnvFile(path: string, environment: Record<string, string | undefined>): string[] {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (cause) {
    const missing = (cause as NodeJS.ErrnoException).code === "ENOENT";
    throw new UruncError(
      "usage",
      missing
        ? `open ${path}: no such file or directory`
        : `cannot read ${path}: ${(cause as Error).message}`,
      { cause },
    );
  }
  return (
    text
      .replace(/^\ufeff/, "")
      .split(/\r?\n/)
      .map((line) => line.trimStart())
      .filter((line) => line !== "" && !line.startsWith("#"))
      .map((line) => {
        const name = line.split("=")[0] as string;
        if (/\s/.test(name)) {
          throw new UruncError(
            "usage",
            `poorly formatted environment: variable '${name}' contains whitespaces`,
          );
        }
        return readVariable(line, environment);
      })
      // As docker's: one that has no value here is not there.
      .filter((variable) => variable.includes("="))
  );
}

function parseVolume(text: string): Volume {
  const words = text.split(":");
  const [source = "", destination = "", mode = ""] = words;
  if (words.length > 3 || source === "" || words.length === 1) {
    throw new UruncError("usage", `invalid volume specification: '${text}': it is SOURCE:DESTINATION[:ro]`);
  }
  const options = mode === "" ? [] : mode.split(",");
  const wrong = options.find((option) => !["ro", "rw", "z", "Z"].includes(option));
  if (wrong !== undefined) throw new UruncError("usage", `invalid mode: ${mode}`);
  if (!source.startsWith("/") && !source.startsWith(".")) {
    throw new UruncError(
      "usage",
      `${JSON.stringify(source)} names a volume, and there are none: name a directory or file by its path, as ./${source}`,
    );
  }
  if (!destination.startsWith("/")) {
    throw new UruncError(
      "usage",
      `invalid volume specification: '${text}': invalid mount config for type "bind": mount path must be absolute`,
    );
  }
  if (isRoot(destination)) throw new UruncError("usage", "invalid specification: destination can't be '/'");
  return { source: resolve(source), destination, readOnly: options.includes("ro") };
}

function parseTmpfs(text: string): RunRequest["tmpfs"][number] {
  const colon = text.indexOf(":");
  const destination = colon < 0 ? text : text.slice(0, colon);
  if (!destination.startsWith("/") || isRoot(destination)) {
    throw new UruncError("usage", `invalid mount path: '${destination}' mount path must be absolute`);
  }
  const options =
    colon < 0
      ? []
      : text
          .slice(colon + 1)
          .split(",")
          .filter((option) => option !== "");
  return { destination, options };
}

function isRoot(path: string): boolean {
  return resolve(path) === "/";
}

function parseLabel(text: string): [string, string] {
  const at = text.indexOf("=");
  if (at === 0 || text === "") throw new UruncError("usage", `invalid label format: ${JSON.stringify(text)}`);
  return at < 0 ? [text, ""] : [text.slice(0, at), text.slice(at + 1)];
}

function checkHostname(text: string): string {
  if (/^[a-zA-Z0-9]([a-zA-Z0-9.-]{0,62})$/.test(text)) return text;
  throw new UruncError(
    "usage",
    `invalid hostname: ${JSON.stringify(text)}: it has 1 to 63 letters, digits, - and .`,
  );
}

export function absolute(what: string, path: string): string {
  if (path.startsWith("/")) return path;
  throw new UruncError("usage", `the ${what} '${path}' is invalid, it needs to be an absolute path`);
}

const UNITS: Partial<Record<string, number>> = {
  "": 1,
  b: 1,
  k: 2 ** 10,
  m: 2 ** 20,
  g: 2 ** 30,
  t: 2 ** 40,
};

/** Bytes, as Docker reads them: `64m`, `1.5GB`. */
export function parseMemory(text: string): number {
  const [, digits, unit = ""] = /^([0-9]+(?:\.[0-9]+)?) ?([bkmgt]?)b?$/i.exec(text) ?? [];
  const bytes = Math.floor(Number(digits) * (UNITS[unit.toLowerCase()] as number));
  if (digits === undefined || !Number.isSafeInteger(bytes)) {
    throw new UruncError(
      "usage",
      `invalid argument "${text}" for "-m, --memory" flag: invalid size: '${text}'`,
    );
  }
  return bytes;
}

function parseCpus(text: string): number {
  const value = /^([0-9]+\.?[0-9]*|\.[0-9]+)$/.test(text) ? Math.round(Number(text) * 1e9) : Number.NaN;
  if (!Number.isSafeInteger(value)) {
    throw new UruncError(
      "usage",
      `invalid argument "${text}" for "--cpus" flag: failed to parse ${text} as a rational number`,
    );
  }
  return value;
}

function duplicate(values: readonly string[]): string | undefined {
  return values.find((value, index) => values.indexOf(value) !== index);
}
