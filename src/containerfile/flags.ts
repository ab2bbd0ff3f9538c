import type { Located, Position } from "../bunnyfile/position.ts";
import { nearest } from "../nearest.ts";

/** How a flag of an instruction is given: `--name`, `--name=value`, or the latter more than once. */
export type FlagKind = "boolean" | "text" | "texts";

/** The flags of one instruction. */
export interface Flags {
  /** Undefined where it is not given. */
  boolean(name: string): boolean | undefined;
  text(name: string): Located<string> | undefined;
  texts(name: string): Located<string>[];
}

/**
 * Reads an instruction's flags by BuildKit's rules, `instructions/bflag.go`.
 *
 * @param known the flags that the instruction has
 * @param wrong the error of a sentence at a place
 */
export function readFlags(
  given: readonly Located<string>[],
  known: Readonly<Record<string, FlagKind>>,
  wrong: (at: Position, sentence: string) => Error,
): Flags {
  const found = new Map<string, Located<string>[]>();
  for (const { value: word, at } of given) {
    const equals = word.indexOf("=");
    const flag = equals < 0 ? word : word.slice(0, equals);
    const value = equals < 0 ? undefined : word.slice(equals + 1);
    const name = flag.slice(2);
    const kind = Object.hasOwn(known, name) ? known[name] : undefined;
    if (kind === undefined) {
      const meant = nearest(name, Object.keys(known));
      throw wrong(at, `unknown flag: ${flag}${meant === undefined ? "" : `; is --${meant} meant?`}`);
    }
    const before = found.get(name) ?? [];
    if (kind !== "texts" && before.length > 0) throw wrong(at, `duplicate flag specified: ${flag}`);
    if (value === "" ? kind === "boolean" : value === undefined && kind !== "boolean") {
      throw wrong(at, `missing a value on flag: ${flag}`);
    }
    if (kind === "boolean" && value !== undefined && !/^(?:true|false)$/i.test(value)) {
      throw wrong(at, `expecting boolean value for flag ${flag}, not: ${value}`);
    }
    found.set(name, [...before, { value: value ?? "true", at }]);
  }
  const text = (name: string) => found.get(name)?.[0];
  return {
    boolean: (name) => {
      const value = text(name)?.value;
      return value === undefined ? undefined : value.toLowerCase() === "true";
    },
    text,
    texts: (name) => found.get(name) ?? [],
  };
}
