import { resolve } from "node:path";
import { CONFIG_PREFIX, configOfContainer } from "../config/annotations.ts";
import type { Config } from "../config/config.ts";
import { KEYS } from "../config/keys.ts";
import { CONFIG_FILE, CONFIG_VARIABLE, type LoadedConfig, loadConfig } from "../config/load.ts";
import { shareDirectory } from "../config/share.ts";
import { type ShownValue, showConfig } from "../config/show.ts";
import { containerShareWay } from "../container/share-way.ts";
import { UruncError } from "../errors.ts";
import { findFileServer } from "../monitor/file-server.ts";
import { locateMonitor } from "../monitor/locate.ts";
import { MONITOR_NAMES } from "../monitor/monitors.ts";
import { qemu } from "../monitor/qemu.ts";
import type { Context } from "./context.ts";
import { findEngine } from "./engine.ts";
import { type FlagSpecs, parseFlags } from "./flags.ts";
import { readSpec } from "./read-spec.ts";

export const CONFIG_FLAGS: FlagSpecs = {
  bundle: { kind: "string", short: "b", help: "what it is for this bundle's container" },
};

/** `urunc config`: the effective configuration, and where each value comes from. */
export function config(context: Context, words: readonly string[]): number {
  const { strings, rest } = parseFlags(words, CONFIG_FLAGS, "urunc config");
  if (rest.length > 0)
    throw new UruncError("usage", "urunc config takes no argument: see urunc config --help");
  const loaded = loadConfig(process.env);
  for (const warning of loaded.warnings) context.log.warning(warning);
  const bundle = strings["bundle"];
  const annotations = bundle === undefined ? {} : (readSpec(resolve(bundle)).annotations ?? {});
  const effective = configOfContainer(loaded.config, annotations);
  const values = Array.from(KEYS, ([key, { get }]): ShownValue => {
    const value = get(effective) as ShownValue["value"];
    const origin = originOf(key, loaded, annotations);
    const found = FOUND[key]?.(effective, value);
    if (found === undefined) return { key, value, origin };
    const comment = value === undefined ? found.origin : `${origin}, ${found.origin}`;
    return { key, value: value ?? found.value, origin: comment };
  });
  process.stdout.write(showConfig(titleOf(loaded), values));
  return 0;
}

function titleOf({ path }: LoadedConfig): string {
  if (path === undefined) return `${CONFIG_FILE} is not there: these are the defaults`;
  return process.env[CONFIG_VARIABLE] ? `${path}, which ${CONFIG_VARIABLE} names` : path;
}

function originOf(key: string, { lines, path }: LoadedConfig, annotations: Record<string, string>): string {
  const annotation = `${CONFIG_PREFIX}${key}`;
  if (annotations[annotation] !== undefined) return `annotation ${annotation}`;
  const line = lines().get(key);
  return line === undefined ? "default" : `${path}:${line}`;
}

/** What is looked for on this host, where the configuration says nothing, or only a name. */
const FOUND: Record<
  string,
  (config: Config, value: unknown) => Pick<ShownValue, "value" | "origin"> | undefined
> = {
  "runtime.engine": ({ engine }) =>
    engine.startsWith("/")
      ? undefined
      : attempt(() => ({ value: engine, origin: `is ${findEngine(engine)}` })),
  "runtime.share": (_, value) =>
    value === undefined
      ? { value: shareDirectory(undefined), origin: "found beside the executable" }
      : undefined,
  ...Object.fromEntries(
    MONITOR_NAMES.map((name) => [
      `monitors.${name}.path`,
      (_: Config, value: unknown) =>
        value === undefined ? attempt(() => ({ value: locateMonitor(name), origin: "found" })) : undefined,
    ]),
  ),
  "runtime.monitor": (_, value) =>
    value === undefined ? { value: undefined, origin: "the image's, else qemu" } : undefined,
  "monitors.qemu.share": (config, value) =>
    value === undefined
      ? attempt(() => {
          const { kind, reason } = containerShareWay(config, qemu);
          return { value: kind, origin: reason };
        })
      : undefined,
  "extra_binaries.virtiofsd.path": (_, value) => {
    if (value !== undefined) return undefined;
    const program = findFileServer()?.program;
    return { value: program, origin: program === undefined ? "not found" : "found" };
  },
};

function attempt(look: () => Pick<ShownValue, "value" | "origin">): Pick<ShownValue, "value" | "origin"> {
  try {
    return look();
  } catch (error) {
    if (error instanceof UruncError) return { value: undefined, origin: error.message };
    throw error;
  }
}
