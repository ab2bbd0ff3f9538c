import { type ParseArgsConfig, parseArgs } from "node:util";
import { UruncError } from "../errors.ts";
import type { Access } from "../image/location.ts";
import { loadRegistryConfiguration } from "../image/registry/configuration.ts";
import { dockerCredentials } from "../image/registry/credentials.ts";
import { hostPlatform, type Platform, parsePlatform } from "../image/spec/platform.ts";
import { openStore } from "../image/store/store.ts";

/** Flags that all commands on images have. */
export const STORE_FLAGS = {
  store: { type: "string" },
  help: { type: "boolean", short: "h" },
} as const;

/** Flags of those that choose among an image's platforms. */
export const PLATFORM_FLAG = { platform: { type: "string" } } as const;

type Options = NonNullable<ParseArgsConfig["options"]>;

/**
 * A command's flags and arguments.
 *
 * @param name as `bunny pull`
 * @param least the number of arguments
 * @returns undefined when help was asked for, and printed
 * @throws UruncError `usage`
 */
export function parseCommand<O extends Options & typeof STORE_FLAGS>(
  words: readonly string[],
  name: string,
  help: string,
  options: O,
  [least, most]: readonly [least: number, most: number],
) {
  let parsed: ReturnType<typeof parse>;
  const parse = () => parseArgs({ args: [...words], options, allowPositionals: true });
  try {
    parsed = parse();
  } catch (cause) {
    const message = (cause as Error).message.split(". ")[0];
    throw new UruncError("usage", `${name}: ${message}: see "${name} --help"`, { cause });
  }
  if ((parsed.values as { help?: boolean }).help) {
    process.stdout.write(help);
    return undefined;
  }
  const { length } = parsed.positionals;
  if (length < least || length > most) {
    const wanted =
      least === most
        ? `${least}`
        : most === Number.POSITIVE_INFINITY
          ? `at least ${least}`
          : `${least} to ${most}`;
    throw new UruncError(
      "usage",
      `${name} takes ${wanted} argument${wanted === "1" || wanted === "at least 1" ? "" : "s"}, not ${length}: see "${name} --help"`,
    );
  }
  return { flags: parsed.values, words: parsed.positionals };
}

/** How images are reached: by the environment and the flag `--store`. */
export function access(store: string | undefined): Access {
  const environment = process.env;
  return {
    store: () => openStore(store),
    registry: {
      configuration: loadRegistryConfiguration(environment),
      credentials: dockerCredentials(environment),
    },
    environment,
  };
}

/** The platform that is named, or that of the machines here. */
export function platformOf(named: string | undefined): Platform {
  return named === undefined ? hostPlatform() : parsePlatform(named);
}

/** Bytes as a person reads them. */
export function readableSize(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`;
  const units = ["kB", "MB", "GB", "TB"];
  let value = bytes;
  let unit = -1;
  do {
    value /= 1000;
    unit++;
  } while (value >= 999.5 && unit < units.length - 1);
  return `${value >= 100 ? value.toFixed(0) : value.toFixed(1)} ${units[unit]}`;
}
