import { existsSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { importsOf } from "./containerd-config.ts";

/**
 * The texts of the files that a configuration of containerd's imports, and of those that these import, in the order in
 * which containerd reads them: what comes later goes before.
 *
 * @param root the host's root directory
 * @param path of the configuration, on the host
 * @throws UruncError `config-invalid`: one is not TOML
 */
export function importedBy(root: string, path: string, text: string): string[] {
  const texts: string[] = [];
  const pending = [{ path, text }];
  const seen = new Set([path]);
  for (let next = pending.shift(); next !== undefined; next = pending.shift()) {
    for (const pattern of importsOf(next.text)) {
      for (const found of filesOf(root, resolve(dirname(next.path), pattern))) {
        if (seen.has(found)) continue;
        seen.add(found);
        const imported = readFileSync(join(root, found), "utf8");
        texts.push(imported);
        pending.push({ path: found, text: imported });
      }
    }
  }
  return texts;
}

/** Absolute paths on the host, sorted. A file that is named and missing is containerd's to complain of. */
function filesOf(root: string, pattern: string): string[] {
  if (!pattern.includes("*")) return existsSync(join(root, pattern)) ? [pattern] : [];
  const found = [...new Bun.Glob(pattern.slice(1)).scanSync({ cwd: root, dot: true, followSymlinks: true })];
  return found.map((one) => `/${one}`).sort();
}
