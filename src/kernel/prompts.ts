import { readFile } from "node:fs/promises";
import { join } from "node:path";

/** A symbol's beginning, and the lines within it that give it a prompt. */
const SYMBOL = /^\s*(?:menu)?config\s+(\w+)/;
const OTHER_ENTRY = /^\s*(?:choice|endchoice|menu|endmenu|if|endif|source|comment|mainmenu)\b/;
const HELP = /^\s*help\s*$/;
const PROMPT = /^\s+(?:(?:bool|tristate|string|int|hex)\s+["']|prompt\s+["'])/;

/**
 * The symbols of one Kconfig file that have a prompt, which is what makes them a person's choice: a symbol without
 * follows from others.
 */
export function promptsIn(text: string): string[] {
  const found: string[] = [];
  let symbol: string | undefined;
  for (const line of text.split("\n")) {
    const begun = SYMBOL.exec(line);
    if (begun) symbol = begun[1];
    else if (OTHER_ENTRY.test(line) || HELP.test(line)) symbol = undefined;
    else if (symbol !== undefined && PROMPT.test(line)) found.push(symbol);
  }
  return found;
}

/** All such symbols of a kernel source for x86. */
export async function readPrompts(tree: string): Promise<Set<string>> {
  const prompts = new Set<string>();
  for await (const path of new Bun.Glob("**/Kconfig*").scan({ cwd: tree })) {
    // Other architectures' files are not read for this one.
    if (path.startsWith("arch/") && path !== "arch/Kconfig" && !path.startsWith("arch/x86/")) continue;
    if (path.startsWith("scripts/kconfig/tests/")) continue;
    for (const symbol of promptsIn(await readFile(join(tree, path), "utf8"))) prompts.add(symbol);
  }
  return prompts;
}
