import type { Located, Position } from "../bunnyfile/position.ts";
import type { EscapeToken } from "./expand.ts";

/** A Containerfile's text, parsed. Nothing is expanded yet but the text's own form: continued lines, quotes of JSON. */
export interface Containerfile {
  /** Of the file, for sentences. */
  name: string;
  /** Takes the meaning from the letter behind it, in words. */
  escapeToken: EscapeToken;
  /** ARGs before the first FROM: variables for FROM lines, and defaults of ARGs in stages. */
  globals: ArgInstruction[];
  /** At least one. */
  stages: Stage[];
  /** Each `FILE:LINE:COLUMN: sentence`. */
  warnings: string[];
}

/** From one FROM to the next. */
export interface Stage {
  index: number;
  /** From `AS`, in lower case. */
  name?: string;
  from: FromInstruction;
  instructions: StageInstruction[];
}

/** What stands in front of a command: as words, or a line for the shell. */
export type Command = { form: "exec"; words: string[] } | { form: "shell"; line: string };

/** `<<NAME`: lines that stand in the file itself. */
export interface Heredoc {
  /** What it is called, without quotes. */
  name: string;
  /** Lines with their ends, as they are written. */
  content: string;
  /** `<<-`: the tabs that lines begin with are no part of it. */
  chomp: boolean;
  /** Variables in it are expanded: its name has no quotes. */
  expand: boolean;
}

interface Common {
  /** Where the instruction begins. */
  at: Position;
  /** The instruction in one line, as it is written: for progress and history. */
  source: string;
}

export interface FromInstruction extends Common {
  kind: "from";
  /** With variables. */
  image: Located<string>;
  platform?: Located<string>;
  /** The stage's name, in lower case. */
  as?: Located<string>;
}

export interface ArgInstruction extends Common {
  kind: "arg";
  variables: { name: string; value?: Located<string> }[];
}

export interface EnvInstruction extends Common {
  kind: "env";
  pairs: Pair[];
}

export interface LabelInstruction extends Common {
  kind: "label";
  pairs: Pair[];
}

/** Key and value, both with variables and quotes as they are written. */
export interface Pair {
  key: string;
  value: string;
}

export interface RunInstruction extends Common {
  kind: "run";
  command: Command;
  heredocs: Heredoc[];
  mounts: MountFlag[];
  network: "default" | "none";
}

/** One `RUN --mount`. Its options may have variables, so that they are read when the stage is planned. */
export interface MountFlag {
  at: Position;
  /** As `type=cache,target=/var/cache`. */
  options: string;
  /** A stage's name or an image; known early, since the order of stages hangs on it. */
  from?: string;
}

export interface CopyInstruction extends Common {
  kind: "copy" | "add";
  /** Each with variables; those of heredocs are in `heredocs`. */
  sources: string[];
  heredocs: Heredoc[];
  destination: string;
  /** COPY alone: a stage's name or number, or an image. */
  from?: Located<string>;
  chown?: string;
  chmod?: string;
  link: boolean;
  /** COPY alone: directories of the source's path are made below the destination. */
  parents: boolean;
  excludes: string[];
  /** ADD alone: of the one file that is fetched. */
  checksum?: string;
  /** ADD alone: whether archives are unpacked; undefined where the kind of source decides. */
  unpack?: boolean;
}

export interface CommandInstruction extends Common {
  kind: "cmd" | "entrypoint";
  command: Command;
}

export interface ShellInstruction extends Common {
  kind: "shell";
  words: string[];
}

/** Instructions with one word, with variables but for `maintainer`. */
export interface WordInstruction extends Common {
  kind: "user" | "stopsignal" | "maintainer";
  value: string;
}

export interface WorkdirInstruction extends Common {
  kind: "workdir";
  value: string;
}

export interface WordsInstruction extends Common {
  kind: "expose" | "volume";
  words: string[];
}

export interface OnbuildInstruction extends Common {
  kind: "onbuild";
  /** The instruction that is kept, as it is written. */
  trigger: string;
}

/** Times in nanoseconds; 0 is the engine's default. */
export interface Health {
  /** `["NONE"]`, `["CMD", …]` or `["CMD-SHELL", line]`. */
  test: string[];
  interval: number;
  timeout: number;
  startPeriod: number;
  startInterval: number;
  retries: number;
}

export interface HealthcheckInstruction extends Common {
  kind: "healthcheck";
  health: Health;
}

export type StageInstruction =
  | ArgInstruction
  | CommandInstruction
  | CopyInstruction
  | EnvInstruction
  | HealthcheckInstruction
  | LabelInstruction
  | OnbuildInstruction
  | RunInstruction
  | ShellInstruction
  | WordInstruction
  | WordsInstruction
  | WorkdirInstruction;

export type Instruction = FromInstruction | StageInstruction;
