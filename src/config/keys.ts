import { MINIMUM_MEMORY_MIB } from "../container/resources.ts";
import {
  type FileServerOption,
  parseOptions,
  RESERVED_OPTIONS,
  splitWords,
} from "../monitor/file-server-options.ts";
import type { Config } from "./config.ts";
import { LEVELS } from "./log-level.ts";

/** What is wrong with a value, as the end of a sentence. */
type Check = (value: unknown) => string | undefined;

/** A key of the configuration. */
export interface Key {
  check: Check;
  set(config: Config, value: never): void;
  /** Undefined: it is found when it is needed. */
  get(config: Config): unknown;
  /** Whoever creates a container may decide it for that container: it names no program and no place of the host's. */
  perContainer?: true;
  /** What of an allowed value has no effect, as a sentence's end. */
  remark?(value: never): string | undefined;
}

const text: Check = (value) => (typeof value === "string" && value !== "" ? undefined : "must be a string");
const truth: Check = (value) => (typeof value === "boolean" ? undefined : "must be true or false");
const absolutePath: Check = (value) =>
  typeof value === "string" && value.startsWith("/") ? undefined : "must be an absolute path";
const wholeNumber =
  (least: number, most: number): Check =>
  (value) =>
    Number.isInteger(value) && (value as number) >= least && (value as number) <= most
      ? undefined
      : `must be a whole number from ${least} to ${most}`;
const oneOf =
  (...words: readonly string[]): Check =>
  (value) =>
    words.includes(value as string)
      ? undefined
      : `must be ${words.map((word) => JSON.stringify(word)).join(" or ")}`;

const memory = wholeNumber(MINIMUM_MEMORY_MIB, 1_048_576);
const vcpus = wholeNumber(1, 32);

/** Those that have an effect, in the order in which they are shown. */
const OWN: Record<string, Key> = {
  "log.level": {
    check: oneOf(...Object.keys(LEVELS)),
    set: (config, value: keyof typeof LEVELS) => {
      config.log.level = LEVELS[value];
    },
    get: ({ log }) => log.level,
  },
  "log.syslog": {
    check: truth,
    set: (config, value: boolean) => {
      config.log.syslog = value;
    },
    get: ({ log }) => log.syslog,
  },
  "runtime.engine": {
    check: text,
    set: (config, value: string) => {
      config.engine = value;
    },
    get: ({ engine }) => engine,
  },
  "runtime.share": {
    check: absolutePath,
    set: (config, value: string) => {
      config.share = value;
    },
    get: ({ share }) => share,
  },
  "runtime.unannotated": {
    check: oneOf("vm", "container"),
    set: (config, value: Config["unannotated"]) => {
      config.unannotated = value;
    },
    get: ({ unannotated }) => unannotated,
  },
  "runtime.block_root": {
    check: oneOf("asked", "always", "never"),
    set: (config, value: Config["blockRoot"]) => {
      config.blockRoot = value;
    },
    get: ({ blockRoot }) => blockRoot,
    perContainer: true,
  },
  "runtime.boot_timeout_ms": {
    check: wholeNumber(1000, 3_600_000),
    set: (config, value: number) => {
      config.bootTimeout = value;
    },
    get: ({ bootTimeout }) => bootTimeout,
    perContainer: true,
  },
  "monitors.qemu.path": {
    check: absolutePath,
    set: (config, value: string) => {
      config.qemu.path = value;
    },
    get: ({ qemu }) => qemu.path,
  },
  "monitors.qemu.data_path": {
    check: absolutePath,
    set: (config, value: string) => {
      config.qemu.dataPath = value;
    },
    get: ({ qemu }) => qemu.dataPath,
  },
  "monitors.qemu.default_memory_mb": {
    check: memory,
    set: (config, value: number) => {
      config.qemu.memoryMiB = value;
    },
    get: ({ qemu }) => qemu.memoryMiB,
    perContainer: true,
  },
  "monitors.qemu.default_vcpus": {
    check: vcpus,
    set: (config, value: number) => {
      config.qemu.vcpus = value;
    },
    get: ({ qemu }) => qemu.vcpus,
    perContainer: true,
  },
  "monitors.qemu.share": {
    check: oneOf("virtiofs", "9p"),
    set: (config, value: "virtiofs" | "9p") => {
      config.qemu.share = value;
    },
    get: ({ qemu }) => qemu.share,
    perContainer: true,
  },
  "extra_binaries.virtiofsd.path": {
    check: absolutePath,
    set: (config, value: string) => {
      config.virtiofsd = value;
    },
    get: ({ virtiofsd }) => virtiofsd,
  },
  "extra_binaries.virtiofsd.options": {
    check: (value) => {
      if (typeof value !== "string") return "must be a string";
      return parseOptions(splitWords(value)) === undefined
        ? "must be options, each with a dash before its name"
        : undefined;
    },
    set: (config, value: string) => {
      config.virtiofsdOptions = optionsOf(value)
        .filter(({ name }) => !RESERVED_OPTIONS.has(name))
        .flatMap(({ words }) => words);
    },
    get: ({ virtiofsdOptions }) => virtiofsdOptions.join(" "),
    remark: (value: string) => {
      const names = optionsOf(value)
        .filter(({ name }) => RESERVED_OPTIONS.has(name))
        .map(({ words }) => words.join(" "));
      return names.length === 0 ? undefined : `${names.join(", ")}: that is the sandbox's own`;
    },
  },
};

export const KEYS: ReadonlyMap<string, Key> = new Map(Object.entries(OWN));

/** Of a value that has been checked. */
function optionsOf(value: string): FileServerOption[] {
  return parseOptions(splitWords(value)) ?? [];
}

/** A key of other programs of this name that has no effect in this one. */
export interface IgnoredKey {
  check: Check;
  reason: string;
  /** What is done here anyway, of which nothing needs to be said. */
  agrees?(value: unknown): boolean;
}

const OTHER_MONITOR = "QEMU is the only monitor";
const IGNORED_OF_QEMU: Record<string, IgnoredKey> = {
  vhost: { check: truth, reason: "the monitor alone moves packets", agrees: (value) => value === false },
  socket_path: { check: text, reason: "sockets are in the sandbox" },
};

/** Those that have none. */
export const IGNORED_KEYS: ReadonlyMap<string, IgnoredKey> = new Map<string, IgnoredKey>([
  [
    "timestamps.enabled",
    { check: truth, reason: "no times are written", agrees: (value: unknown) => value === false },
  ],
  // A place alone asks for nothing.
  ["timestamps.destination", { check: text, reason: "no times are written", agrees: () => true }],
  ...Object.entries(IGNORED_OF_QEMU).map(([name, key]) => [`monitors.qemu.${name}`, key] as const),
  ...["firecracker", "cloud-hypervisor", "hvt", "spt"].flatMap((monitor) =>
    Object.entries({
      default_memory_mb: wholeNumber(1, 1_048_576),
      default_vcpus: wholeNumber(1, 255),
      path: text,
      data_path: text,
      vhost: truth,
      socket_path: text,
    }).map(([name, check]) => [`monitors.${monitor}.${name}`, { check, reason: OTHER_MONITOR }] as const),
  ),
]);
