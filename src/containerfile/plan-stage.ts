import type { ConfigDocument, ProcessDocument } from "../build/image.ts";
import { wrongAt } from "../bunnyfile/position.ts";
import { nearest } from "../nearest.ts";
import { configure } from "./configure.ts";
import { expand } from "./expand.ts";
import type { ArgInstruction, StageInstruction, WorkdirInstruction } from "./instruction.ts";
import { parseTrigger } from "./parse.ts";
import { cleanPath, workingDirectory } from "./paths.ts";
import type { BuildPlan, PlannedStage, StagePlan, StageState, Step } from "./plan.ts";
import { planCopy } from "./plan-copy.ts";
import { planRun } from "./plan-run.ts";
import { isTexts, type StageContext } from "./stage-context.ts";
import { InstructionError } from "./wrong.ts";

/** UTF-16 units that all values of a stage come to: what they make is kept in memory, and in the image. */
const MOST_EXPANDED = 16 << 20;
const DEFAULT_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** What a stage begins with whose base is an image, from its configuration as it is. */
export function imageState(config: ConfigDocument): StageState {
  const { created: _, rootfs: __, ...kept } = config;
  return { config: kept, environment: new Map(), args: new Map() };
}

/** What a stage begins with that has no base. */
export function scratchState(): StageState {
  return imageState({ config: { Env: [DEFAULT_PATH], WorkingDir: "/" } });
}

/**
 * Plans the steps of a stage, by the rules of BuildKit's `dockerfile2llb/convert.go`.
 *
 * @param index of the stage in the plan
 * @param base the result of the stage that it begins with, or {@link imageState}, or {@link scratchState}
 * @throws UruncError `build-file` at the instruction that is wrong
 */
export function planStage(plan: BuildPlan, index: number, base: StageState): StagePlan {
  const planned = plan.stages[index] as PlannedStage;
  const { stage } = planned;
  const { triggers, ...state } = beginning(base);
  const steps: Step[] = [];
  const warnings: string[] = [];
  // A CMD of this stage stays where an ENTRYPOINT follows; the base's does not.
  let keepsCommand = false;
  const size = { expanded: 0 };
  const add = (instruction: StageInstruction, prefix = "") => {
    const unset = new Set<string>();
    const context = contextOf(instruction, plan, planned, state, { unset, size });
    try {
      const step = planStep(instruction, context, keepsCommand);
      if (step !== undefined) steps.push({ ...step, title: prefix + step.title });
    } catch (error) {
      if (!(error instanceof InstructionError)) throw error;
      throw wrongAt(plan.file.name, instruction.at, error.message, error);
    }
    keepsCommand ||= instruction.kind === "cmd";
    for (const name of unset) {
      if (state.args.has(name)) continue;
      const meant = nearest(name, [...state.environment.keys()]);
      const { line, column } = instruction.at;
      warnings.push(
        `${plan.file.name}:${line}:${column}: the variable $${name} is not set, and empty` +
          `${meant === undefined ? "" : `; is $${meant} meant?`}`,
      );
    }
  };
  for (const trigger of triggers) add(parseTrigger(trigger, stage.from.at, plan.file.name), "ONBUILD ");
  for (const instruction of stage.instructions) add(instruction);
  return { steps, result: state, warnings };
}

/** What a stage changes, apart from its base's. */
function beginning(base: StageState) {
  const config = structuredClone(base.config);
  const { OnBuild: triggers, ...process } = config.config ?? {};
  config.config = process;
  process.Env ??= [];
  if (!process.Env.some((entry) => entry.startsWith("PATH="))) process.Env.push(DEFAULT_PATH);
  const environment = new Map(base.environment);
  for (const entry of process.Env) {
    const [name = "", ...value] = entry.split("=");
    environment.set(name, value.join("="));
  }
  return { config, environment, args: new Map(base.args), triggers: isTexts(triggers) ? triggers : [] };
}

function contextOf(
  { at, kind, source }: StageInstruction,
  plan: BuildPlan,
  planned: PlannedStage,
  state: Pick<StageContext, "config" | "environment" | "args">,
  { unset, size }: { unset: Set<string>; size: { expanded: number } },
): StageContext {
  const { escapeToken } = plan.file;
  const expanded = (text: string, options: Parameters<typeof expand>[2]) => {
    const expansion = expand(text, state.environment, options);
    for (const name of expansion.unset) unset.add(name);
    size.expanded += expansion.text.length;
    if (size.expanded > MOST_EXPANDED) {
      throw new InstructionError(`the stage's values come to more than ${MOST_EXPANDED >> 20} MiB`);
    }
    return expansion;
  };
  return {
    plan,
    planned,
    at,
    ...state,
    expand: (word) => expanded(word, { escapeToken }).text,
    expandText: (text) => expanded(text, { escapeToken: "\\", ignoreQuotes: true }).text,
    expandWords: (word) => expanded(word, { escapeToken }).words,
    title: () => {
      // What a shell reads stays as it is written, but for what is known.
      const options = kind === "run" ? { keepQuotes: true, keepUnset: true } : {};
      const text = source.replace(/^\S+/, (word) => word.toUpperCase());
      try {
        return expand(text, state.environment, { escapeToken, ...options }).text;
      } catch (error) {
        if (error instanceof InstructionError) return text;
        throw error;
      }
    },
  };
}

function planStep(
  instruction: StageInstruction,
  context: StageContext,
  keepsCommand: boolean,
): Step | undefined {
  const configured = (createdBy: string): Step => {
    return { kind: "configure", at: instruction.at, title: context.title(), createdBy };
  };
  switch (instruction.kind) {
    case "run":
      return planRun(instruction, context);
    case "copy":
    case "add":
      return planCopy(instruction, context);
    case "workdir":
      return planWorkdir(instruction, context, configured);
    case "arg":
      return configured(declare(instruction, context));
    case "onbuild": {
      const process = context.config.config as ProcessDocument;
      const before = process["OnBuild"];
      process["OnBuild"] = [...(isTexts(before) ? before : []), instruction.trigger];
      // BuildKit's history does not know it.
      return undefined;
    }
    default:
      return configured(configure(instruction, context, keepsCommand));
  }
}

function planWorkdir(
  { value, at }: WorkdirInstruction,
  context: StageContext,
  configured: (createdBy: string) => Step,
): Step {
  const process = context.config.config as ProcessDocument;
  const written = workingDirectory(process.WorkingDir ?? "", context.expand(value));
  process.WorkingDir = written;
  const path = cleanPath(written);
  const createdBy = `WORKDIR ${written}`;
  if (path === "/") return configured(createdBy);
  return { kind: "workdir", at, title: context.title(), createdBy, path, user: process.User ?? "" };
}

/** Declares ARGs, each seeing those before it, and gives the text of the history. */
function declare({ variables }: ArgInstruction, context: StageContext): string {
  const { plan, environment, args } = context;
  const words = variables.map(({ name, value }) => {
    const given =
      plan.request.buildArgs.get(name) ??
      (value === undefined ? plan.globals.get(name) : context.expand(value.value));
    if (given !== undefined) environment.set(name, given);
    args.set(name, given);
    return given === undefined ? name : `${name}=${given}`;
  });
  return `ARG ${words.join(" ")}`;
}
