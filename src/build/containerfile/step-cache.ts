import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { writeAtomically } from "../../container/directory.ts";
import type { Layout } from "../../image/store/layout.ts";
import type { BuiltLayer } from "../layer.ts";

/** A part of every key: what a step comes to is another matter with another way of carrying it out. */
const FORM = "steps 1";
/** What is kept takes some hundred bytes each. */
const MOST = 4096;

/** What a step came to: a layer, or nothing that changed. */
export type StepResult = BuiltLayer | "unchanged";

/**
 * Which layers steps came to earlier. The layers themselves are in the store, where they stay as long as an image has
 * them: one that is gone there is made again.
 */
export class StepCache {
  readonly #directory: string;
  readonly #layout: Layout;
  readonly #reads: boolean;

  /** @param reads false: what was kept is not looked at */
  constructor(directory: string, layout: Layout, reads: boolean) {
    this.#directory = directory;
    this.#layout = layout;
    this.#reads = reads;
  }

  find(key: string): StepResult | undefined {
    if (!this.#reads) return undefined;
    const path = join(this.#directory, key);
    try {
      const result = JSON.parse(readFileSync(path, "utf8")) as StepResult;
      if (result !== "unchanged" && !this.#layout.has(result.descriptor)) return undefined;
      const now = new Date();
      utimesSync(path, now, now);
      return result;
    } catch {
      // It is not there, or somebody else's.
      return undefined;
    }
  }

  keep(key: string, result: StepResult): void {
    mkdirSync(this.#directory, { recursive: true, mode: 0o700 });
    writeAtomically(join(this.#directory, key), JSON.stringify(result));
  }

  /** Lets go what was not used for longest, if there is too much. */
  tidy(most = MOST): void {
    let names: string[];
    try {
      names = readdirSync(this.#directory);
    } catch {
      return;
    }
    if (names.length <= most) return;
    const used = names
      .map((name) => join(this.#directory, name))
      .map((path) => ({ path, time: statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0 }))
      .sort((a, b) => b.time - a.time);
    for (const { path } of used.slice(most)) rmSync(path, { force: true });
  }
}

/** What tells a step, on what was there before it, from any other. */
export function stepKey(words: readonly unknown[]): string {
  return createHash("sha256")
    .update(JSON.stringify([FORM, ...words]))
    .digest("hex");
}
