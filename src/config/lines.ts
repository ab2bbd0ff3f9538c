import { parse } from "smol-toml";
import { flatten } from "./flatten.ts";

/**
 * The line on which each key of a TOML document begins, from 1 on. The library tells only where a document ends to be one,
 * so that is what is asked: a key begins behind the longest beginning of the document that is one without it.
 *
 * @param source a document that is one
 */
export function linesOfKeys(source: string): Map<string, number> {
  const found = new Map<string, number>();
  const lines = source.split("\n");
  let whole = 0;
  for (let count = 1; count <= lines.length; count++) {
    const keys = keysOf(`${lines.slice(0, count).join("\n")}\n`);
    if (keys === undefined) continue;
    for (const key of keys) if (!found.has(key)) found.set(key, whole + 1);
    whole = count;
  }
  return found;
}

/** Undefined: it ends amid a value. */
function keysOf(source: string): string[] | undefined {
  try {
    return Array.from(flatten(parse(source)), ([key]) => key);
  } catch {
    return undefined;
  }
}
