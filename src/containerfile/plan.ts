import type { ConfigDocument } from "../build/image.ts";
import type { Located, Position } from "../bunnyfile/position.ts";
import type { Platform } from "../image/spec/platform.ts";
import type { Reference } from "../image/spec/reference.ts";
import type { Containerfile, Stage } from "./instruction.ts";

/** What a build is asked for, besides the Containerfile. */
export interface BuildRequest {
  /** `--build-arg`. */
  buildArgs: ReadonlyMap<string, string>;
  /** `--target`: a stage's name or number; undefined is the last stage. */
  target?: string;
  /** What the image is for. */
  platform: Platform;
  /** Where it is built. */
  buildPlatform: Platform;
}

/** Which stages there are, what each begins with, and which are needed. */
export interface BuildPlan {
  file: Containerfile;
  request: BuildRequest;
  /** All of them, by their index. */
  stages: PlannedStage[];
  /** Index of the stage whose result is the image. */
  target: number;
  /**
   * Indices of the stages that the target needs, each after those that it needs itself; the target is the last. An
   * ONBUILD trigger of a base may name others: a step's `from` says so, and no base is known when this is planned.
   */
  order: number[];
  /** Indices by names, in lower case. */
  names: ReadonlyMap<string, number>;
  /**
   * What ARGs in stages take their values from that have none, and no build argument: ARGs before the first FROM, and
   * `TARGETPLATFORM` and the like.
   */
  globals: ReadonlyMap<string, string>;
  /** Each a sentence. */
  warnings: string[];
}

export interface PlannedStage {
  stage: Stage;
  base: StageBase;
  /** What the stage's steps run on, and what is asked for of its base. */
  platform: Platform;
  /** For progress: its name, or `stage-N`. */
  title: string;
}

export type StageBase =
  | { kind: "scratch" }
  | { kind: "image"; reference: Located<Reference> }
  | { kind: "stage"; index: number };

/** Where files come from that are neither the context's nor the stage's own. */
export type StepSource =
  /** No files at all. */
  | { kind: "scratch" }
  | { kind: "stage"; index: number }
  | { kind: "image"; reference: Located<Reference>; platform: Platform };

interface CommonStep {
  at: Position;
  /** For progress: the instruction with its variables expanded. */
  title: string;
  /** `created_by` of the history; its `comment` is {@link HISTORY_COMMENT}. */
  createdBy: string;
}

/** Runs a program in the stage's files. */
export interface RunStep extends CommonStep {
  kind: "run";
  /** The whole command line, shell included. `argv[0]` without a slash is looked up in `PATH` of `env`. */
  argv: string[];
  /** Shell form with a heredoc whose first line is `#!`: the file that `argv[0]` names, executable for the run. */
  script?: { path: string; content: string };
  /** `NAME=VALUE`, ENV and ARG of the stage; what is in `HTTP_PROXY` and the like among them. */
  env: string[];
  /** Absolute. */
  workingDirectory: string;
  /** As `User` of an image's configuration: empty is root. */
  user: string;
  mounts: RunMount[];
  network: "default" | "none";
  /**
   * Those entries of `env` that are no part of what the result depends on: `HTTP_PROXY` and the like, unless declared.
   */
  unkeyed: string[];
}

/** What is mounted for one RUN and is no part of its result. */
export type RunMount = {
  /** Absolute and clean, and not `/`. */
  target: string;
} & (
  | {
      kind: "bind";
      /** Undefined is the context, with `.dockerignore` applied. */
      from?: StepSource;
      /** Absolute and clean, in what it is taken from. */
      source: string;
      /** What is written to one that is not is lost. */
      isReadOnly: boolean;
    }
  | {
      kind: "cache";
      /** Caches of one id are the same directory, for all builds. */
      id: string;
      /** What it has at first; undefined is nothing. */
      from?: StepSource;
      source: string;
      isReadOnly: boolean;
      sharing: "shared" | "private" | "locked";
      /** Of the directory, where it is new. */
      mode: number;
      uid: number;
      gid: number;
    }
  | {
      kind: "tmpfs";
      /** Bytes; undefined is the kernel's own limit. */
      size?: number;
    }
);

/** COPY and ADD. */
export interface CopyStep extends CommonStep {
  kind: "copy" | "add";
  sources: CopySource[];
  /** Absolute and clean, but that a slash at its end stays: a directory is meant then. */
  destination: string;
  /** Undefined is the context, with `.dockerignore` applied. */
  from?: StepSource;
  /** `user[:group]` in names or numbers, looked up in the stage's files; undefined is 0:0. */
  chown?: string;
  /** Permission bits for all files, of octal `--chmod`. */
  chmod?: number;
  link: boolean;
  parents: boolean;
  /** Patterns of `--exclude`, as in `.dockerignore`, relative to each source. */
  excludes: string[];
  /** ADD of one URL: `sha256:…`. */
  checksum?: string;
  unpack?: boolean;
}

export type CopySource =
  | {
      kind: "path";
      /**
       * Relative to the root of what is copied from, clean, and without a slash at its ends: empty is the root. May have
       * wildcards of Go's `filepath.Match`; {@link hasWildcards} tells.
       */
      path: string;
      /** With `parents`: the end of the path that is made below the destination. */
      below: string;
    }
  /** A file that stands in the Containerfile, with mode 0644. */
  | { kind: "inline"; name: string; content: string }
  /** ADD alone. */
  | { kind: "url"; url: string /** What its file is called. */; name: string };

/** Makes the directory with mode 0755, parents too, if it is not there. */
export interface WorkdirStep extends CommonStep {
  kind: "workdir";
  /** Owner of what is made, as `User` of an image's configuration: empty is root. */
  user: string;
  /** Absolute and clean. */
  path: string;
}

/** Changes the configuration alone: in the history it is an empty layer. */
export interface ConfigureStep extends CommonStep {
  kind: "configure";
}

export type Step = RunStep | CopyStep | WorkdirStep | ConfigureStep;

/**
 * What a stage's instructions come to on its base. It is planned once the base is there, since variables may be its
 * own ENV; triggers of its ONBUILD stand first.
 */
export interface StagePlan {
  steps: Step[];
  /** What the image of this stage says, and what a stage that begins with this one begins with. */
  result: StageState;
  /** Each `FILE:LINE:COLUMN: sentence`. */
  warnings: string[];
}

/** What is known after an instruction, besides the files. */
export interface StageState {
  /**
   * Of the image as it is written: the base's, changed; without `rootfs`, `created`, and the history of the steps, which
   * whoever carries them out adds from `createdBy`.
   */
  config: ConfigDocument;
  /** What programs and variables see: `ENV`, and `ARG` of this stage and those it begins with; in their order. */
  environment: ReadonlyMap<string, string>;
  /** Names of ARGs with their values so far, in their order: they stand in the history of each RUN. */
  args: ReadonlyMap<string, string | undefined>;
}

/** `comment` of the history of each step. */
export const HISTORY_COMMENT = "buildkit.dockerfile.v0";
