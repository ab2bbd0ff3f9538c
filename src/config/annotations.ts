import { UruncError } from "../errors.ts";
import type { Config } from "./config.ts";
import { KEYS, type Key } from "./keys.ts";
import { suggestion } from "./parse.ts";

/**
 * Before a key of the configuration: an annotation of the bundle's `config.json` that decides it for one container. An
 * image's own annotations have another prefix.
 */
export const CONFIG_PREFIX = "com.urunc.config.";

const DECIMAL = /^(0|[1-9][0-9]*)$/;

/** Keys that whoever creates a container may decide. */
export const PER_CONTAINER: readonly string[] = [...KEYS]
  .filter(([, { perContainer }]) => perContainer)
  .map(([key]) => key);

/**
 * The configuration for one container.
 *
 * @throws UruncError `bundle-invalid`: a key that only the host decides, or that is unknown; a value that is not allowed
 */
export function configOfContainer(config: Config, annotations: Record<string, string> = {}): Config {
  const given = Object.entries(annotations).filter(([name]) => name.startsWith(CONFIG_PREFIX));
  if (given.length === 0) return config;
  const changed = structuredClone(config);
  for (const [name, text] of given) {
    const key = name.slice(CONFIG_PREFIX.length);
    const known = allowedKey(name, key);
    const value = DECIMAL.test(text) ? Number(text) : text;
    const sentence = known.check(value);
    if (sentence !== undefined) {
      throw new UruncError(
        "bundle-invalid",
        `the annotation ${name} is ${JSON.stringify(text.slice(0, 100))}: it ${sentence}`,
      );
    }
    known.set(changed, value as never);
  }
  return changed;
}

function allowedKey(name: string, key: string): Key {
  const known = KEYS.get(key);
  if (known?.perContainer) return known;
  throw new UruncError(
    "bundle-invalid",
    known === undefined
      ? `the annotation ${name} is unknown${suggestion(key, PER_CONTAINER)}`
      : `the annotation ${name} is refused: only the host's configuration decides ${key}`,
  );
}
