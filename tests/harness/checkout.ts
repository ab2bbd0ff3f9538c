import { cpSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { succeed } from "./command.ts";

const ROOT = resolve(import.meta.dir, "../..");
/** What a build and an installation read, with what is built already. */
const COPIED = ["dist", "kernel", "native", "package.json", "scripts", "src", "tsconfig.json"];

/** A copy of this checkout: what is built and installed from it does not touch what the tests run. */
export interface Checkout {
  /** Makes other programs of it: another version, and another optimisation of the C programs. */
  change(version: string, optimisation: "-O1" | "-O2"): void;
  /** Builds and installs as a user does it. */
  install(prefix: string): Promise<void>;
  remove(): void;
}

/** @param directory an empty one */
export function copyCheckout(directory: string): Checkout {
  for (const name of COPIED) {
    cpSync(join(ROOT, name), join(directory, name), {
      recursive: true,
      verbatimSymlinks: true,
      preserveTimestamps: true,
    });
  }
  symlinkSync(join(ROOT, "node_modules"), join(directory, "node_modules"));
  return {
    change(version, optimisation) {
      edit(join(directory, "package.json"), /"version": "[^"]*"/, `"version": "${version}"`);
      edit(join(directory, "native/Makefile"), /^CFLAGS = -O\w/m, `CFLAGS = ${optimisation}`);
    },
    async install(prefix) {
      const argv = [process.execPath, "scripts/install.ts", `PREFIX=${prefix}`, "--no-register-docker"];
      await succeed(argv, { cwd: directory });
    },
    remove: () => rmSync(directory, { recursive: true, force: true }),
  };
}

function edit(path: string, old: RegExp, replacement: string): void {
  const text = readFileSync(path, "utf8");
  if (!old.test(text)) throw new Error(`${path} has no ${old}`);
  writeFileSync(path, text.replace(old, replacement));
}
