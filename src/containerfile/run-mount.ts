import { parseMemory } from "../machines/request.ts";
import { nearest } from "../nearest.ts";
import type { MountFlag } from "./instruction.ts";
import { cleanPath, workingDirectory } from "./paths.ts";
import type { RunMount, StepSource } from "./plan.ts";
import { InstructionError } from "./wrong.ts";

const KEYS: Readonly<Record<string, string>> = {
  type: "type",
  from: "from",
  source: "source",
  src: "source",
  target: "target",
  dst: "target",
  destination: "target",
  readonly: "readonly",
  ro: "readonly",
  readwrite: "readwrite",
  rw: "readwrite",
  id: "id",
  sharing: "sharing",
  size: "size",
  mode: "mode",
  uid: "uid",
  gid: "gid",
  required: "required",
  env: "env",
};
const TYPES = ["bind", "cache", "tmpfs", "secret", "ssh"];
const SHARING = ["shared", "private", "locked"] as const;
const TRUE = new Set(["1", "t", "T", "TRUE", "true", "True"]);
const FALSE = new Set(["0", "f", "F", "FALSE", "false", "False"]);

/** What a mount's options are read with. */
export interface MountContext {
  /** Expands a value's variables. */
  expand(value: string): string;
  /** What `from` names. */
  source(from: string): StepSource;
  workingDirectory: string;
}

/**
 * Reads the options of `RUN --mount`, by the rules of BuildKit's `instructions/commands_runmount.go`.
 *
 * @throws InstructionError with a sentence
 */
export function readRunMount({ options }: MountFlag, context: MountContext): RunMount {
  const fields = readFields(options, context);
  const type = (fields.get("type") ?? "bind").toLowerCase();
  if (!TYPES.includes(type)) {
    const meant = nearest(type, TYPES);
    throw new InstructionError(
      `unsupported mount type ${JSON.stringify(type)}${meant === undefined ? "" : `; is ${meant} meant?`}`,
    );
  }
  if (type === "secret" || type === "ssh") {
    throw new InstructionError(
      `RUN --mount=type=${type} is not supported: give what is needed as a file of the context with type=bind, which ` +
        "is no part of the image",
    );
  }
  for (const key of ["required", "env"]) unexpected(fields, key, type);
  if (type !== "tmpfs") unexpected(fields, "size", type);
  if (type !== "cache") {
    for (const key of ["mode", "uid", "gid"]) {
      if (fields.has(key))
        throw new InstructionError(`${key} not allowed for ${JSON.stringify(type)} type mounts`);
    }
    if (fields.has("sharing")) throw new InstructionError(`invalid cache sharing set for ${type} mount`);
  }
  const given = fields.get("target") ?? "";
  const target = cleanPath(workingDirectory(context.workingDirectory, given));
  if (target === "/") throw new InstructionError(`invalid mount target ${JSON.stringify(target)}`);
  const from = fields.get("from") ?? "";
  const source = { source: cleanPath(fields.get("source") ?? ""), isReadOnly: isReadOnly(fields, type) };
  const where = from === "" ? {} : { from: context.source(from) };
  switch (type) {
    case "bind":
      return { kind: "bind", target, ...where, ...source };
    case "cache":
      return { kind: "cache", target, ...where, ...source, ...cacheOf(fields, given) };
    default: {
      const size = fields.get("size");
      return { kind: "tmpfs", target, ...(size === undefined ? {} : { size: sizeOf(size) }) };
    }
  }
}

function readFields(options: string, { expand }: MountContext): Map<string, string> {
  const fields = new Map<string, string>();
  for (const field of splitFields(options)) {
    const equals = field.indexOf("=");
    const word = (equals < 0 ? field : field.slice(0, equals)).toLowerCase();
    const key = Object.hasOwn(KEYS, word) ? KEYS[word] : undefined;
    if (key === undefined && equals >= 0) {
      const meant = nearest(word, Object.keys(KEYS));
      throw new InstructionError(
        `unexpected key '${word}' in '${field}'${meant === undefined ? "" : `; is ${meant} meant?`}`,
      );
    }
    if (equals < 0 && key !== "readonly" && key !== "readwrite" && key !== "required") {
      throw new InstructionError(`invalid field '${field}' must be a key=value pair`);
    }
    fields.delete(key as string);
    fields.set(key as string, equals < 0 ? "true" : expand(field.slice(equals + 1)));
  }
  return fields;
}

/** Fields of a record of comma-separated values, RFC 4180: `"…"` holds commas, and `""` in it is a quote. */
function splitFields(text: string): string[] {
  const fields: string[] = [];
  let rest = text;
  for (;;) {
    const [whole, quoted, bare] = /^(?:"((?:[^"]|"")*)"(?=,|$)|([^",]*)(?=,|$))/s.exec(rest) ?? [];
    if (whole === undefined) throw new InstructionError(`failed to parse csv mounts: ${text}`);
    fields.push(quoted?.replaceAll('""', '"') ?? bare ?? "");
    if (whole.length === rest.length) return fields;
    rest = rest.slice(whole.length + 1);
  }
}

function unexpected(fields: ReadonlyMap<string, string>, key: string, type: string): void {
  if (fields.has(key)) throw new InstructionError(`unexpected key '${key}' for mount type '${type}'`);
}

function isReadOnly(fields: ReadonlyMap<string, string>, type: string): boolean {
  // The last of them counts; without any, only what is not the mount's own is.
  let answer = type === "bind";
  for (const [key, value] of fields) {
    if (key !== "readonly" && key !== "readwrite") continue;
    if (!TRUE.has(value) && !FALSE.has(value))
      throw new InstructionError(`invalid value for ${key}: ${value}`);
    answer = (key === "readonly") === TRUE.has(value);
  }
  return answer;
}

function cacheOf(fields: ReadonlyMap<string, string>, target: string) {
  const word = fields.get("sharing")?.toLowerCase() ?? "shared";
  const sharing = SHARING.find((known) => known === word);
  if (sharing === undefined) throw new InstructionError(`unsupported sharing value ${JSON.stringify(word)}`);
  const number = (key: string, digits: RegExp, base: number, otherwise: number) => {
    const text = fields.get(key);
    if (text === undefined) return otherwise;
    if (!digits.test(text)) throw new InstructionError(`invalid value ${text} for ${key}`);
    return Number.parseInt(text, base);
  };
  const id = fields.get("id") ?? "";
  return {
    id: id === "" ? cleanPath(target) : id,
    sharing,
    mode: number("mode", /^[0-7]{1,5}$/, 8, 0o755) & 0o7777,
    uid: number("uid", /^[0-9]{1,9}$/, 10, 0),
    gid: number("gid", /^[0-9]{1,9}$/, 10, 0),
  };
}

function sizeOf(text: string): number {
  try {
    return parseMemory(text);
  } catch (cause) {
    throw new InstructionError(`invalid value for size: ${text}`, { cause });
  }
}
