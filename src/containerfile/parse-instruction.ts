import { type Located, type Position, wrongAt } from "../bunnyfile/position.ts";
import type { UruncError } from "../errors.ts";
import { nearest } from "../nearest.ts";
import type { EscapeToken } from "./expand.ts";
import { type FlagKind, type Flags, readFlags } from "./flags.ts";
import { readHealth } from "./health.ts";
import type {
  Command,
  CopyInstruction,
  Instruction,
  MountFlag,
  Pair,
  RunInstruction,
} from "./instruction.ts";
import { type Line, parseHeredoc, withoutTabs } from "./lines.ts";
import { parseWordArray, splitBlanks, splitInstruction, splitQuoted, type Word } from "./words.ts";
import { InstructionError } from "./wrong.ts";

/** What an instruction is read from. */
interface Statement {
  line: Line;
  name: Word;
  flags: Word[];
  rest: Word;
  escapeToken: EscapeToken;
  /** The instruction in one line, as it is written. */
  source: string;
  at: Position;
  wrong(at: Position, sentence: string): UruncError;
}

const STAGE_NAME = /^[a-z][a-z0-9-_.]*$/;

const COPY_FLAGS = {
  from: "text",
  chown: "text",
  chmod: "text",
  link: "boolean",
  parents: "boolean",
  exclude: "texts",
} as const;
const ADD_FLAGS = {
  chown: "text",
  chmod: "text",
  link: "boolean",
  exclude: "texts",
  checksum: "text",
  unpack: "boolean",
  "keep-git-dir": "boolean",
} as const;
const RUN_FLAGS = { mount: "texts", network: "text", security: "text", device: "texts" } as const;
const HEALTH_FLAGS = {
  interval: "text",
  timeout: "text",
  "start-period": "text",
  "start-interval": "text",
  retries: "text",
} as const;

/**
 * Parses one instruction, by the rules of BuildKit's `frontend/dockerfile/instructions`.
 *
 * @param name of the file, for sentences
 * @throws UruncError `build-file`
 */
export function parseInstruction(line: Line, escapeToken: EscapeToken, name: string): Instruction {
  return parseFrom(line, 0, escapeToken, name);
}

function parseFrom(line: Line, start: number, escapeToken: EscapeToken, file: string): Instruction {
  const split = splitInstruction(line.text, start, escapeToken);
  const statement: Statement = {
    ...split,
    line,
    escapeToken,
    source: line.text.slice(start).trim(),
    at: line.at(split.name.offset),
    wrong: (at, sentence) => wrongAt(file, at, sentence),
  };
  const instruction = split.name.text.toUpperCase();
  const read = Object.hasOwn(READERS, instruction) ? READERS[instruction] : undefined;
  if (read === undefined) {
    const meant = nearest(instruction, Object.keys(READERS));
    const hint = meant === undefined ? "" : `; is ${meant} meant?`;
    throw statement.wrong(statement.at, `unknown instruction: ${split.name.text}${hint}`);
  }
  return read(statement, file);
}

type Reader = (statement: Statement, file: string) => Instruction;

const READERS: Readonly<Record<string, Reader>> = {
  ADD: (statement) => readCopy(statement, "add"),
  ARG: readArg,
  CMD: (statement) => readCommand(statement, "cmd"),
  COPY: (statement) => readCopy(statement, "copy"),
  ENTRYPOINT: (statement) => readCommand(statement, "entrypoint"),
  ENV: (statement) => readPairs(statement, "env"),
  EXPOSE: (statement) => {
    const words = atLeastOne(statement, splitBlanks(statement.rest));
    flagsOf(statement, {});
    return { ...common(statement), kind: "expose", words: words.map(({ text }) => text).sort() };
  },
  FROM: readStage,
  HEALTHCHECK: readHealthcheck,
  LABEL: (statement) => readPairs(statement, "label"),
  MAINTAINER: (statement) => readWord(statement, "maintainer"),
  ONBUILD: readOnbuild,
  RUN: readRun,
  SHELL: (statement) => {
    flagsOf(statement, {});
    const words = arrayOf(statement, statement.rest);
    if (words === undefined) {
      throw statement.wrong(
        statement.at,
        'SHELL requires the arguments to be in JSON form: as ["/bin/sh", "-c"]',
      );
    }
    if (words.length === 0) throw needsOne(statement);
    return { ...common(statement), kind: "shell", words };
  },
  STOPSIGNAL: (statement) => readWord(statement, "stopsignal"),
  USER: (statement) => readWord(statement, "user"),
  VOLUME: (statement) => {
    flagsOf(statement, {});
    const words = (arrayOf(statement, statement.rest) ?? texts(splitBlanks(statement.rest))).map((word) =>
      word.trim(),
    );
    if (words.length === 0) throw needsOne(statement);
    if (words.includes(""))
      throw statement.wrong(statement.at, "VOLUME specified can not be an empty string");
    return { ...common(statement), kind: "volume", words };
  },
  WORKDIR: (statement) => readWord(statement, "workdir"),
};

function common({ at, source }: Statement): { at: Position; source: string } {
  return { at, source };
}

function nameOf({ name }: Statement): string {
  return name.text.toUpperCase();
}

function texts(words: readonly Word[]): string[] {
  return words.map(({ text }) => text);
}

function needsOne(statement: Statement): UruncError {
  return statement.wrong(statement.at, `${nameOf(statement)} requires at least one argument`);
}

function atLeastOne(statement: Statement, words: Word[]): Word[] {
  if (words.length === 0) throw needsOne(statement);
  return words;
}

function flagsOf(statement: Statement, known: Readonly<Record<string, FlagKind>>): Flags {
  const given = statement.flags.map(({ text, offset }) => ({ value: text, at: statement.line.at(offset) }));
  return readFlags(given, known, statement.wrong);
}

/** The words of the JSON form; undefined for any other. */
function arrayOf(statement: Statement, rest: Word): string[] | undefined {
  const words = parseWordArray(rest.text);
  if (words === "mixed") {
    throw statement.wrong(
      statement.line.at(rest.offset),
      "when using JSON array syntax, arrays must be comprised of strings only",
    );
  }
  return words;
}

function commandOf(statement: Statement, rest: Word): Command {
  const words = arrayOf(statement, rest);
  return words === undefined ? { form: "shell", line: rest.text } : { form: "exec", words };
}

function readStage(statement: Statement): Instruction {
  const words = splitBlanks(statement.rest);
  const [image, as, named] = words;
  const isNamed = words.length === 3 && as?.text.toUpperCase() === "AS";
  if (image === undefined || !(words.length === 1 || isNamed)) {
    throw statement.wrong(statement.at, "FROM requires either one or three arguments");
  }
  const located = ({ text, offset }: Word): Located<string> => ({
    value: text,
    at: statement.line.at(offset),
  });
  const platform = flagsOf(statement, { platform: "text" }).text("platform");
  if (named !== undefined && !STAGE_NAME.test(named.text.toLowerCase())) {
    throw statement.wrong(
      statement.line.at(named.offset),
      `invalid name for build stage: ${JSON.stringify(named.text)}, name can't start with a number or contain symbols`,
    );
  }
  return {
    ...common(statement),
    kind: "from",
    image: located(image),
    ...(named === undefined ? {} : { as: { ...located(named), value: named.text.toLowerCase() } }),
    // Given and empty is as not given.
    ...(platform === undefined || platform.value === "" ? {} : { platform }),
  };
}

function readArg(statement: Statement): Instruction {
  const { line, wrong, escapeToken, rest } = statement;
  const variables = atLeastOne(statement, splitQuoted(rest, escapeToken)).map(({ text, offset }) => {
    const equals = text.indexOf("=");
    if (equals === 0) throw wrong(line.at(offset), "ARG names can not be blank");
    if (equals < 0) return { name: text };
    const value = { value: text.slice(equals + 1), at: line.at(offset) };
    return { name: text.slice(0, equals), value };
  });
  return { ...common(statement), kind: "arg", variables };
}

function readPairs(statement: Statement, kind: "env" | "label"): Instruction {
  const { rest, escapeToken, line, wrong } = statement;
  flagsOf(statement, {});
  const words = atLeastOne(statement, splitQuoted(rest, escapeToken));
  const blank = (at: number) => wrong(line.at(at), `${nameOf(statement)} names can not be blank`);
  if (!(words[0] as Word).text.includes("=")) {
    const [, key = "", value] = /^([^\t\v\f\r ]+)[\t\v\f\r ]+(.*)$/s.exec(rest.text) ?? [];
    if (value === undefined) throw wrong(statement.at, `${nameOf(statement)} must have two arguments`);
    return { ...common(statement), kind, pairs: [{ key, value }] };
  }
  const pairs = words.map(({ text, offset }): Pair => {
    const equals = text.indexOf("=");
    if (equals < 0) {
      throw wrong(
        line.at(offset),
        `Syntax error - can't find = in ${JSON.stringify(text)}. Must be of the form: name=value`,
      );
    }
    if (equals === 0) throw blank(offset);
    return { key: text.slice(0, equals), value: text.slice(equals + 1) };
  });
  return { ...common(statement), kind, pairs };
}

function readWord(statement: Statement, kind: "workdir" | "user" | "stopsignal" | "maintainer"): Instruction {
  if (statement.rest.text === "") {
    throw statement.wrong(statement.at, `${nameOf(statement)} requires exactly one argument`);
  }
  flagsOf(statement, {});
  return { ...common(statement), kind, value: statement.rest.text };
}

function readCommand(statement: Statement, kind: "cmd" | "entrypoint"): Instruction {
  flagsOf(statement, {});
  return { ...common(statement), kind, command: commandOf(statement, statement.rest) };
}

function readRun(statement: Statement): RunInstruction {
  const { wrong, rest, line } = statement;
  const flags = flagsOf(statement, RUN_FLAGS);
  const [device] = flags.texts("device");
  if (device !== undefined)
    throw wrong(device.at, "RUN --device is not supported: a machine has no devices of the host");
  const security = flags.text("security");
  if (security !== undefined && security.value !== "sandbox") {
    throw wrong(
      security.at,
      security.value === "insecure"
        ? "RUN --security=insecure is not supported, and not needed: the program runs as root of its own machine"
        : `security ${JSON.stringify(security.value)} is not valid`,
    );
  }
  const network = flags.text("network");
  const mode = network?.value ?? "default";
  if (network !== undefined && mode !== "default" && mode !== "none") {
    throw wrong(
      network.at,
      mode === "host"
        ? "RUN --network=host is not supported: programs run in a machine, whose network is its own; leave it out"
        : `invalid network mode ${JSON.stringify(mode)}`,
    );
  }
  const command = commandOf(statement, rest);
  if (command.form === "exec" ? command.words.length === 0 : command.line === "") throw needsOne(statement);
  return {
    ...common(statement),
    kind: "run",
    command,
    heredocs: line.heredocs,
    mounts: flags.texts("mount").map((mount) => readMount(mount, wrong)),
    network: mode as RunInstruction["network"],
  };
}

function readMount({ value, at }: Located<string>, wrong: Statement["wrong"]): MountFlag {
  const field = value.split(",").find((one) => /^from=/i.test(one));
  const from = field?.slice("from=".length);
  if (from !== undefined && /\$./.test(from)) {
    throw wrong(at, "'from' doesn't support variable expansion, define alias stage instead");
  }
  return { at, options: value, ...(from === undefined || from === "" ? {} : { from }) };
}

function readCopy(statement: Statement, kind: "copy" | "add"): CopyInstruction {
  const { rest, line, wrong } = statement;
  const words: Word[] =
    arrayOf(statement, rest)?.map((text) => ({ text, offset: rest.offset })) ?? splitBlanks(rest);
  if (words.length < 2) {
    throw wrong(
      statement.at,
      `${nameOf(statement)} requires at least two arguments, but only ${words.length === 1 ? "one was" : "none were"} ` +
        "provided. Destination could not be determined",
    );
  }
  const flags = flagsOf(statement, kind === "copy" ? COPY_FLAGS : ADD_FLAGS);
  const destination = words.pop() as Word;
  if (parseHeredoc(destination.text) !== undefined) {
    throw wrong(line.at(destination.offset), `${nameOf(statement)} cannot accept a heredoc as a destination`);
  }
  const heredocs = words.flatMap(({ text }) => {
    const heredoc = parseHeredoc(text);
    const found = line.heredocs.find(({ name }) => name === heredoc?.name);
    if (found === undefined) return [];
    return [found.chomp ? { ...found, content: withoutTabs(found.content) } : found];
  });
  const from = flags.text("from");
  if (from !== undefined && /\$./.test(from.value)) {
    throw wrong(
      from.at,
      "variable expansion is not supported for --from, define a new stage with FROM using ARG from global scope as a " +
        "workaround",
    );
  }
  const optional = <K extends string>(name: K, flag: string): { [key in K]?: string } => {
    const value = flags.text(flag)?.value ?? "";
    return value === "" ? {} : ({ [name]: value } as { [key in K]?: string });
  };
  const unpack = flags.boolean("unpack");
  const [git] = texts(words).filter((source) => isGit(source));
  if (git !== undefined && kind === "add") {
    throw wrong(
      statement.at,
      `ADD of the git repository ${git} is not supported: clone it before, and COPY the files`,
    );
  }
  return {
    ...common(statement),
    kind,
    sources: texts(words).filter((text) => parseHeredoc(text) === undefined),
    heredocs,
    destination: destination.text,
    ...(from === undefined || from.value === "" ? {} : { from }),
    ...optional("chown", "chown"),
    ...optional("chmod", "chmod"),
    link: flags.boolean("link") ?? false,
    parents: flags.boolean("parents") ?? false,
    excludes: flags.texts("exclude").map(({ value }) => value),
    ...optional("checksum", "checksum"),
    ...(unpack === undefined ? {} : { unpack }),
  };
}

/** What BuildKit takes for a repository. */
function isGit(source: string): boolean {
  return /^(?:git:\/\/|ssh:\/\/|git@|https?:\/\/[^?#]+\.git(?:[?#]|$)|github\.com\/)/.test(source);
}

function readOnbuild(statement: Statement, file: string): Instruction {
  const { rest, line, wrong, escapeToken } = statement;
  if (rest.text === "") throw needsOne(statement);
  flagsOf(statement, {});
  const inner = parseFrom(line, rest.offset, escapeToken, file);
  if (inner.kind === "onbuild") {
    throw wrong(line.at(rest.offset), "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed");
  }
  if (inner.kind === "from" || inner.kind === "maintainer") {
    throw wrong(line.at(rest.offset), `${inner.kind.toUpperCase()} isn't allowed as an ONBUILD trigger`);
  }
  const heredocs = line.heredocs.map(({ content, name }) => `\n${content}${name}`);
  return { ...common(statement), kind: "onbuild", trigger: rest.text + heredocs.join("") };
}

function readHealthcheck(statement: Statement): Instruction {
  const { rest, wrong, line } = statement;
  const [, type = "", blank = "", command = ""] = /^(\S*)(\s*)(.*)$/s.exec(rest.text) ?? [];
  if (type === "") throw needsOne(statement);
  const kind = type.toUpperCase();
  const argument = { text: command, offset: rest.offset + type.length + blank.length };
  if (kind === "NONE") {
    if (command !== "") throw wrong(line.at(argument.offset), "HEALTHCHECK NONE takes no arguments");
    flagsOf(statement, {});
    return {
      ...common(statement),
      kind: "healthcheck",
      health: readHealth(["NONE"], flagsOf(statement, {})),
    };
  }
  const flags = flagsOf(statement, HEALTH_FLAGS);
  if (kind !== "CMD") {
    throw wrong(line.at(rest.offset), `Unknown type ${JSON.stringify(kind)} in HEALTHCHECK (try CMD)`);
  }
  const words = arrayOf(statement, argument);
  if (words === undefined ? command === "" : words.length === 0) {
    throw wrong(statement.at, "Missing command after HEALTHCHECK CMD");
  }
  const test = words === undefined ? ["CMD-SHELL", command] : ["CMD", ...words];
  try {
    return { ...common(statement), kind: "healthcheck", health: readHealth(test, flags) };
  } catch (error) {
    if (!(error instanceof InstructionError)) throw error;
    throw wrong(statement.at, error.message);
  }
}
