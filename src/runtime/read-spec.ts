import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { UruncError } from "../errors.ts";
import { parseSpec, type Spec } from "../oci/runtime-spec.ts";

/**
 * Reads a bundle's specification.
 *
 * @param configFile another file in the place of the bundle's `config.json`, relative to the bundle
 * @throws UruncError `bundle-invalid`
 */
export function readSpec(bundle: string, configFile?: string): Spec {
  const path = configFile === undefined ? join(bundle, "config.json") : resolve(bundle, configFile);
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (cause) {
    const missing = (cause as NodeJS.ErrnoException).code === "ENOENT";
    throw new UruncError(
      "bundle-invalid",
      missing
        ? `${path} does not exist: name the bundle's directory with --bundle`
        : `cannot read ${path}: ${(cause as Error).message}`,
      { cause },
    );
  }
  return parseSpec(text, path);
}
