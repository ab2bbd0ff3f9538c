import { type Located, wrongAt } from "../bunnyfile/position.ts";
import { UruncError } from "../errors.ts";
import { type Platform, parsePlatform, platformName } from "../image/spec/platform.ts";
import { parseReference, type Reference } from "../image/spec/reference.ts";
import { nearest } from "../nearest.ts";
import { expand } from "./expand.ts";
import type { Containerfile, FromInstruction, StageInstruction } from "./instruction.ts";
import { stageTitle } from "./parse.ts";
import type { BuildPlan, BuildRequest, PlannedStage, StageBase, StepSource } from "./plan.ts";
import { PROXY_NAME } from "./proxy.ts";
import { InstructionError } from "./wrong.ts";

const SCRATCH = "scratch";

/**
 * Plans the stages of a build, by the rules of BuildKit's `dockerfile2llb`: what each begins with, and which of them the
 * target needs.
 *
 * @throws UruncError `build-file` for what FROM names, and stages that need each other; `build` for a target that is not
 *   there
 */
export function planBuild(file: Containerfile, request: BuildRequest): BuildPlan {
  const globals = globalVariables(file, request);
  const { stages, names } = planStages(file, request, globals);
  const target = targetIndex(stages, request.target, names);
  const order: number[] = [];
  const open = new Set<number>();
  const visit = (index: number) => {
    if (order.includes(index)) return;
    const { base, stage, title } = stages[index] as PlannedStage;
    open.add(index);
    const needed = base.kind === "stage" ? [{ index: base.index, at: stage.from.at }] : [];
    for (const instruction of stage.instructions)
      needed.push(...stagesOf(instruction, names, stages.length, file.name));
    for (const { index: other, at } of needed) {
      const called = stages[other]?.title;
      if (open.has(other)) {
        throw wrongAt(file.name, at, `circular dependency detected on stage: ${called}`);
      }
      if (other > index) {
        throw wrongAt(
          file.name,
          at,
          `cannot copy from stage ${JSON.stringify(called)}, it needs to be defined before current stage ` +
            JSON.stringify(title),
        );
      }
      visit(other);
    }
    open.delete(index);
    order.push(index);
  };
  visit(target);
  const warnings = [...file.warnings, ...unusedArguments(file, request, order)];
  return { file, request, stages, target, order, names, globals, warnings };
}

/** What `--from` and a mount's `from` name. */
export function sourceNamed(
  from: Located<string>,
  plan: Pick<BuildPlan, "file" | "request" | "names" | "stages">,
  options: { numbers: boolean },
): StepSource {
  const index = stageNamed(from, plan.names, plan.stages.length, plan.file.name, options.numbers);
  if (index !== undefined) return { kind: "stage", index };
  if (from.value === SCRATCH) return { kind: "scratch" };
  return { kind: "image", reference: referenceAt(from, plan.file.name), platform: plan.request.platform };
}

function stageNamed(
  { value, at }: Located<string>,
  names: ReadonlyMap<string, number>,
  count: number,
  file: string,
  numbers: boolean,
): number | undefined {
  if (!numbers || !/^[+-]?[0-9]+$/.test(value)) return names.get(value.toLowerCase());
  const index = Number(value);
  if (index >= 0 && index < count) return index;
  throw wrongAt(file, at, `invalid stage index ${value}`);
}

/** The stages that an instruction takes files from. */
function stagesOf(
  instruction: StageInstruction,
  names: ReadonlyMap<string, number>,
  count: number,
  file: string,
): { index: number; at: Located<string>["at"] }[] {
  const froms =
    instruction.kind === "copy" && instruction.from !== undefined
      ? [instruction.from]
      : instruction.kind === "run"
        ? instruction.mounts.flatMap(({ from, at }) => (from === undefined ? [] : [{ value: from, at }]))
        : [];
  return froms.flatMap((from) => {
    const index = stageNamed(from, names, count, file, instruction.kind === "copy");
    return index === undefined ? [] : [{ index, at: from.at }];
  });
}

function globalVariables(file: Containerfile, request: BuildRequest): Map<string, string> {
  const { buildArgs, platform, buildPlatform } = request;
  const globals = new Map<string, string>();
  const define = (prefix: string, { os, architecture, variant, ...rest }: Platform) => {
    globals.set(
      `${prefix}PLATFORM`,
      platformName({ os, architecture, ...(variant === undefined ? {} : { variant }) }),
    );
    globals.set(`${prefix}OS`, os);
    globals.set(`${prefix}OSVERSION`, rest["os.version"] ?? "");
    globals.set(`${prefix}ARCH`, architecture);
    globals.set(`${prefix}VARIANT`, variant ?? "");
  };
  define("BUILD", buildPlatform);
  define("TARGET", platform);
  globals.set("TARGETSTAGE", request.target ?? file.stages.at(-1)?.name ?? "default");
  for (const name of globals.keys()) {
    const given = buildArgs.get(name);
    if (given !== undefined) globals.set(name, given);
  }
  for (const { variables } of file.globals) {
    for (const { name, value } of variables) {
      const given =
        buildArgs.get(name) ?? (value === undefined ? undefined : expandAt(value, globals, file).value);
      if (given !== undefined) globals.set(name, given);
    }
  }
  return globals;
}

function planStages(file: Containerfile, request: BuildRequest, globals: ReadonlyMap<string, string>) {
  const stages: PlannedStage[] = [];
  const names = new Map<string, number>();
  for (const stage of file.stages) {
    const base = baseOf(stage.from, globals, names, file);
    const inherited = base.kind === "stage" ? stages[base.index] : undefined;
    stages.push({
      stage,
      base,
      platform: inherited?.platform ?? platformOf(stage.from, base, request, globals, file),
      title: stageTitle(stage),
    });
    if (stage.name !== undefined) names.set(stage.name, stage.index);
  }
  return { stages, names };
}

function baseOf(
  { image }: FromInstruction,
  globals: ReadonlyMap<string, string>,
  names: ReadonlyMap<string, number>,
  file: Containerfile,
): StageBase {
  const { value, unset } = expandAt(image, globals, file);
  if (value === "") {
    const [first] = unset;
    const why = first === undefined ? "" : `: no ARG before the first FROM gives ${first} a value`;
    throw wrongAt(file.name, image.at, `base name (${image.value}) should not be blank${why}`);
  }
  const index = names.get(value);
  if (index !== undefined) return { kind: "stage", index };
  if (value === SCRATCH) return { kind: "scratch" };
  return { kind: "image", reference: referenceAt({ value, at: image.at }, file.name) };
}

function platformOf(
  { platform }: FromInstruction,
  base: StageBase,
  request: BuildRequest,
  globals: ReadonlyMap<string, string>,
  file: Containerfile,
): Platform {
  if (platform === undefined || base.kind === "scratch") return request.platform;
  const { value } = expandAt(platform, globals, file);
  if (value === "") {
    throw wrongAt(file.name, platform.at, `empty platform value from expression ${platform.value}`);
  }
  try {
    return parsePlatform(value);
  } catch (cause) {
    throw wrongAt(file.name, platform.at, (cause as Error).message, cause);
  }
}

function referenceAt({ value, at }: Located<string>, file: string): Located<Reference> {
  try {
    return { value: parseReference(value), at };
  } catch (cause) {
    throw wrongAt(file, at, (cause as Error).message, cause);
  }
}

function expandAt(
  { value, at }: Located<string>,
  variables: ReadonlyMap<string, string>,
  { name, escapeToken }: Containerfile,
): { value: string; unset: Set<string> } {
  try {
    const { text, unset } = expand(value, variables, { escapeToken });
    return { value: text, unset };
  } catch (error) {
    if (error instanceof InstructionError) throw wrongAt(name, at, `${value}: ${error.message}`, error);
    throw error;
  }
}

function targetIndex(
  stages: readonly PlannedStage[],
  target: string | undefined,
  names: ReadonlyMap<string, number>,
): number {
  if (target === undefined) return stages.length - 1;
  const named = names.get(target.toLowerCase());
  if (named !== undefined) return named;
  if (/^[0-9]+$/.test(target) && Number(target) < stages.length) return Number(target);
  const meant = nearest(target, [...names.keys()]);
  throw new UruncError(
    "build",
    `target stage ${JSON.stringify(target)} could not be found${meant === undefined ? "" : `; is ${meant} meant?`}`,
  );
}

/** Build arguments that need no ARG: of the build itself. */
const PREDEFINED = /^(?:BUILDKIT_.*|SOURCE_DATE_EPOCH)$/;

function unusedArguments(file: Containerfile, request: BuildRequest, order: readonly number[]): string[] {
  const declared = new Set<string>();
  const declare = (instruction: StageInstruction) => {
    if (instruction.kind === "arg") for (const { name } of instruction.variables) declared.add(name);
  };
  for (const instruction of file.globals) declare(instruction);
  for (const index of order) file.stages[index]?.instructions.forEach(declare);
  const unused = [...request.buildArgs.keys()].filter(
    (name) => !declared.has(name) && !PREDEFINED.test(name) && !PROXY_NAME.test(name),
  );
  // As Docker says it.
  return unused.length === 0
    ? []
    : [`[Warning] One or more build-args [${unused.join(" ")}] were not consumed`];
}
