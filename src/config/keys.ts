import { MINIMUM_MEMORY_MIB } from "../container/resources.ts";
import {
  type FileServerOption,
  parseOptions,
  RESERVED_OPTIONS,
  splitWords,
} from "../monitor/file-server-options.ts";
import { MONITOR_NAMES } from "../monitor/monitors.ts";
import type { MonitorName } from "../monitor/vm-spec.ts";
import { type Config, monitorConfig, type RootfsConfig } from "./config.ts";
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

/** The keys of a monitor that every monitor has. */
function ofMonitor(name: MonitorName): Record<string, Key> {
  return {
    [`monitors.${name}.path`]: {
      check: absolutePath,
      set: (config, value: string) => {
        monitorConfig(config, name).path = value;
      },
      get: (config) => monitorConfig(config, name).path,
    },
    [`monitors.${name}.default_memory_mb`]: {
      check: memory,
      set: (config, value: number) => {
        monitorConfig(config, name).memoryMiB = value;
      },
      get: (config) => monitorConfig(config, name).memoryMiB,
      perContainer: true,
    },
    [`monitors.${name}.default_vcpus`]: {
      check: vcpus,
      set: (config, value: number) => {
        monitorConfig(config, name).vcpus = value;
      },
      get: (config) => monitorConfig(config, name).vcpus,
      perContainer: true,
    },
  };
}

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
  "runtime.monitor": {
    check: oneOf(...MONITOR_NAMES),
    set: (config, value: MonitorName) => {
      config.monitor = value;
    },
    get: ({ monitor }) => monitor,
    perContainer: true,
  },
  "runtime.acceleration": {
    check: oneOf("detect", "kvm", "emulation"),
    set: (config, value: Config["acceleration"]) => {
      config.acceleration = value;
    },
    get: ({ acceleration }) => acceleration,
  },
  "runtime.boot_timeout_ms": {
    check: wholeNumber(1000, 3_600_000),
    set: (config, value: number) => {
      config.bootTimeout = value;
    },
    get: ({ bootTimeout }) => bootTimeout,
    perContainer: true,
  },
  "rootfs.way": {
    check: oneOf("share", "image"),
    set: (config, value: RootfsConfig["way"]) => {
      config.rootfs.way = value;
    },
    get: ({ rootfs }) => rootfs.way,
    perContainer: true,
  },
  "rootfs.snapshot": {
    check: oneOf("asked", "always", "never"),
    set: (config, value: RootfsConfig["snapshot"]) => {
      config.rootfs.snapshot = value;
    },
    get: ({ rootfs }) => rootfs.snapshot,
    perContainer: true,
  },
  "rootfs.format": {
    check: oneOf("erofs", "ext4"),
    set: (config, value: RootfsConfig["format"]) => {
      config.rootfs.format = value;
    },
    get: ({ rootfs }) => rootfs.format,
    perContainer: true,
  },
  "rootfs.changes": {
    check: oneOf("memory", "persist"),
    set: (config, value: RootfsConfig["changes"]) => {
      config.rootfs.changes = value;
    },
    get: ({ rootfs }) => rootfs.changes,
    perContainer: true,
  },
  "rootfs.persist_mb": {
    check: wholeNumber(16, 16_777_216),
    set: (config, value: number) => {
      config.rootfs.persistMiB = value;
    },
    get: ({ rootfs }) => rootfs.persistMiB,
    perContainer: true,
  },
  "rootfs.directory": {
    check: absolutePath,
    set: (config, value: string) => {
      config.rootfs.directory = value;
    },
    get: ({ rootfs }) => rootfs.directory,
  },
  "rootfs.cache_mb": {
    check: wholeNumber(0, 1_073_741_824),
    set: (config, value: number) => {
      config.rootfs.cacheMiB = value;
    },
    get: ({ rootfs }) => rootfs.cacheMiB,
  },
  ...ofMonitor("qemu"),
  "monitors.qemu.data_path": {
    check: absolutePath,
    set: (config, value: string) => {
      config.qemu.dataPath = value;
    },
    get: ({ qemu }) => qemu.dataPath,
  },
  "monitors.qemu.share": {
    check: oneOf("virtiofs", "9p"),
    set: (config, value: "virtiofs" | "9p") => {
      config.qemu.share = value;
    },
    get: ({ qemu }) => qemu.share,
    perContainer: true,
  },
  ...ofMonitor("firecracker"),
  ...ofMonitor("cloud-hypervisor"),
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

const OTHER_MONITOR = "it is no monitor of this program's";
const NO_VHOST: IgnoredKey = {
  check: truth,
  reason: "the monitor alone moves packets",
  agrees: (value) => value === false,
};
const NO_SOCKET: IgnoredKey = { check: text, reason: "sockets are in the sandbox" };
const NO_DATA: IgnoredKey = { check: text, reason: "it needs no files besides its program" };

/** Those that have none. */
export const IGNORED_KEYS: ReadonlyMap<string, IgnoredKey> = new Map<string, IgnoredKey>([
  [
    "timestamps.enabled",
    { check: truth, reason: "no times are written", agrees: (value: unknown) => value === false },
  ],
  // A place alone asks for nothing.
  ["timestamps.destination", { check: text, reason: "no times are written", agrees: () => true }],
  ...MONITOR_NAMES.flatMap((name) => [
    [`monitors.${name}.vhost`, NO_VHOST] as const,
    [`monitors.${name}.socket_path`, NO_SOCKET] as const,
    ...(name === "qemu" ? [] : [[`monitors.${name}.data_path`, NO_DATA] as const]),
  ]),
  ...["hvt", "spt"].flatMap((monitor) =>
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
