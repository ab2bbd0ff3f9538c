import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { UruncError } from "../errors.ts";
import type { Platform } from "../image/spec/platform.ts";
import {
  type Definition,
  DefinitionSchema,
  type FileActionCopySchema,
  type FileActionMkDirSchema,
  type FileActionMkFileSchema,
  type FileActionSchema,
  NetMode,
  type OpMetadata,
  OpMetadataSchema,
  OpSchema,
} from "./protocol/llb_pb.ts";

/** A step of a build: BuildKit's vertex, which is known by the digest of its marshalled Op. */
export interface Vertex {
  digest: string;
  op: Uint8Array;
  metadata: OpMetadata;
  inputs: readonly Output[];
}

/** One of the file systems that a step gives. */
export interface Output {
  vertex: Vertex;
  index: number;
}

/** What is said of a step, besides what it does. */
export interface StepOptions {
  /** For people who watch the build. */
  name: string;
  platform: Platform;
  /** It is done even if its result is known. */
  ignoreCache?: boolean;
}

/** Where a file system comes from, as `docker-image://NAME` or `local://NAME`. */
export function source(
  identifier: string,
  attributes: Readonly<Record<string, string>>,
  options: StepOptions,
): Output {
  const attrs = Object.fromEntries(
    Object.entries(attributes).sort(([one], [other]) => (one < other ? -1 : 1)),
  );
  return vertex({ case: "source", value: { identifier, attrs } }, [], options);
}

/** A change of files. Modes are permission bits, and -1 what a copied file has; times are seconds since 1970. */
export type FileChange =
  | { kind: "directory"; path: string; mode: number; time: number }
  | { kind: "file"; path: string; mode: number; time: number; data: Uint8Array }
  | {
      /**
       * Files and directories as Docker's COPY puts them: links of the source are followed in it, parents are made,
       * what a directory has is merged.
       */
      kind: "copy";
      from: Output;
      source: string;
      destination: string;
      mode: number;
      /** Undefined: the files keep their times, and their owners; else they are root's. */
      time: number | undefined;
    };

const ROOT = {
  user: { user: { case: "byId", value: 0 } },
  group: { user: { case: "byId", value: 0 } },
} as const;

/** Changes on a file system, in their order, which become one layer; `onto` undefined is an empty one. */
export function change(
  onto: Output | undefined,
  changes: readonly FileChange[],
  options: StepOptions,
): Output {
  const inputs = new Inputs();
  const base = onto === undefined ? NOTHING : inputs.index(onto);
  const from = changes.map((one) => (one.kind === "copy" ? inputs.index(one.from) : NOTHING));
  const actions = changes.map((one, index): MessageInitShape<typeof FileActionSchema> => {
    return {
      // What an action gives stands behind the inputs.
      input: BigInt(index === 0 ? base : inputs.list.length + index - 1),
      secondaryInput: BigInt(from[index] as number),
      output: BigInt(index === changes.length - 1 ? 0 : NOTHING),
      action: actionOf(one),
    };
  });
  return vertex({ case: "file", value: { actions } }, inputs.list, options);
}

function actionOf(one: FileChange): NonNullable<MessageInitShape<typeof FileActionSchema>["action"]> {
  switch (one.kind) {
    case "directory": {
      const { path, mode, time } = one;
      const value = { path, mode, makeParents: true, owner: ROOT, timestamp: nanoseconds(time) };
      return { case: "mkdir", value: value satisfies MessageInitShape<typeof FileActionMkDirSchema> };
    }
    case "file": {
      const { path, mode, data, time } = one;
      const value = { path, mode, data, owner: ROOT, timestamp: nanoseconds(time) };
      return { case: "mkfile", value: value satisfies MessageInitShape<typeof FileActionMkFileSchema> };
    }
    case "copy": {
      const value = {
        src: one.source,
        dest: one.destination,
        mode: one.mode,
        followSymlink: true,
        dirCopyContents: true,
        createDestPath: true,
        timestamp: one.time === undefined ? -1n : nanoseconds(one.time),
        ...(one.time === undefined ? {} : { owner: ROOT }),
      };
      return { case: "copy", value: value satisfies MessageInitShape<typeof FileActionCopySchema> };
    }
  }
}

function nanoseconds(time: number): bigint {
  return BigInt(time) * 1_000_000_000n;
}

/** A program that is run. */
export interface Run {
  args: readonly string[];
  env: readonly string[];
  /** Its root, whose changes are dropped. */
  root: Output;
  /** What it only reads, by where it sees it. */
  mounts: readonly { from: Output; at: string }[];
  /** An empty directory, which becomes the step's result. */
  result: string;
}

/** Runs a program without a network; gives what it puts into its result's directory. */
export function run({ args, env, root, mounts, result }: Run, options: StepOptions): Output {
  const inputs = new Inputs();
  const value = {
    meta: { args: [...args], env: [...env], cwd: "/" },
    network: NetMode.NONE,
    mounts: [
      { input: BigInt(inputs.index(root)), dest: "/", output: 0n },
      ...mounts.map(({ from, at }) => ({
        input: BigInt(inputs.index(from)),
        dest: at,
        output: BigInt(NOTHING),
        readonly: true,
      })),
      { input: BigInt(NOTHING), dest: result, output: 1n },
    ],
  };
  const { vertex: made } = vertex({ case: "exec", value }, inputs.list, options);
  return { vertex: made, index: 1 };
}

const NOTHING = -1;

/** What a step needs, each once. */
class Inputs {
  readonly list: Output[] = [];

  index(output: Output): number {
    const found = this.list.findIndex(
      ({ vertex, index }) => vertex.digest === output.vertex.digest && index === output.index,
    );
    return found >= 0 ? found : this.list.push(output) - 1;
  }
}

function vertex(
  op: NonNullable<MessageInitShape<typeof OpSchema>["op"]>,
  inputs: readonly Output[],
  { name, platform, ignoreCache = false }: StepOptions,
): Output {
  const bytes = toBinary(
    OpSchema,
    create(OpSchema, {
      op,
      inputs: inputs.map((input) => ({ digest: input.vertex.digest, index: BigInt(input.index) })),
      platform: {
        architecture: platform.architecture,
        os: platform.os,
        ...(platform.variant === undefined ? {} : { variant: platform.variant }),
      },
    }),
  );
  const description: Record<string, string> = { "llb.customname": name };
  const metadata = create(OpMetadataSchema, { ignoreCache, description });
  return { vertex: { digest: digestOf(bytes), op: bytes, metadata, inputs }, index: 0 };
}

function digestOf(bytes: Uint8Array): string {
  return `sha256:${new Bun.CryptoHasher("sha256").update(bytes).digest("hex")}`;
}

/** The definition of a build that gives a file system: each step behind those that it needs. */
export function definitionOf(output: Output): Definition {
  const found = new Map<string, Vertex>();
  // Not by recursion: a Containerfile may have thousands of steps.
  const rest: { vertex: Vertex; seen: boolean }[] = [{ vertex: output.vertex, seen: false }];
  for (let next = rest.pop(); next !== undefined; next = rest.pop()) {
    const { vertex: one, seen } = next;
    if (found.has(one.digest)) continue;
    if (seen) {
      found.set(one.digest, one);
      continue;
    }
    rest.push({ vertex: one, seen: true });
    for (const input of one.inputs.toReversed()) rest.push({ vertex: input.vertex, seen: false });
  }
  const last = toBinary(
    OpSchema,
    create(OpSchema, { inputs: [{ digest: output.vertex.digest, index: BigInt(output.index) }] }),
  );
  const steps = [...found.values()];
  return create(DefinitionSchema, {
    def: [...steps.map(({ op }) => op), last],
    metadata: Object.fromEntries(steps.map(({ digest, metadata }) => [digest, metadata])),
  });
}

/**
 * What a definition gives, to build on. Steps of kinds that are not known here are taken as they are.
 *
 * @throws UruncError `build` for what is no definition
 */
export function outputOf({ def, metadata }: Definition): Output {
  const known = new Map<string, Vertex>();
  let last: Output | undefined;
  for (const [at, op] of def.entries()) {
    const digest = digestOf(op);
    const inputs = fromBinary(OpSchema, op).inputs.map((input): Output => {
      const from = known.get(input.digest);
      if (from === undefined) {
        throw new UruncError(
          "build",
          `BuildKit's definition lacks the step ${input.digest} before ${digest}`,
        );
      }
      return { vertex: from, index: Number(input.index) };
    });
    if (at === def.length - 1) last = inputs[0];
    known.set(digest, { digest, op, inputs, metadata: metadata[digest] ?? create(OpMetadataSchema) });
  }
  if (last === undefined) throw new UruncError("build", "BuildKit's definition has no result");
  return last;
}
