import { wrongAt } from "../../bunnyfile/position.ts";
import type { BuildPlan, PlannedStage, StageState, Step, StepSource } from "../../containerfile/plan.ts";
import { HISTORY_COMMENT } from "../../containerfile/plan.ts";
import { imageState, planStage, scratchState } from "../../containerfile/plan-stage.ts";
import { type Platform, platformName } from "../../image/spec/platform.ts";
import { familiarName } from "../../image/spec/reference.ts";
import type { TreeEntry } from "../entry.ts";
import type { HistoryEntry } from "../image.ts";
import type { Workshop } from "../workshop.ts";
import { copyInto, findSources, keyOfSources } from "./copy.ts";
import { emptyOrigin, layersOrigin, type Origin } from "./origin.ts";
import { type RunMachine, runIn } from "./run.ts";
import { findBinds, keyOfMounts } from "./run-mounts.ts";
import { StageFiles } from "./stage-files.ts";
import { type StepCache, type StepResult, stepKey } from "./step-cache.ts";
import { makeWorkingDirectory } from "./working-directory.ts";

/** What stages are built with. */
export interface StageTools {
  plan: BuildPlan;
  /** The context as it is copied from. */
  context: Origin;
  /** Of a platform: its images. */
  workshop(platform: Platform): Workshop;
  cache: StepCache;
  machine: RunMachine;
  /** Of this machine: what RUN can be for. */
  host: Platform;
}

/** What a stage has come to. */
export interface BuiltStage {
  files: StageFiles;
  state: StageState;
  /** The base's, and an entry for each step. */
  history: HistoryEntry[];
  /** When the base was made, if it says so. */
  created: string | undefined;
}

/** Builds the stages of a plan, each once and when something needs it. */
export class Stages {
  readonly #tools: StageTools;
  readonly #built = new Map<number, Promise<BuiltStage>>();

  constructor(tools: StageTools) {
    this.#tools = tools;
  }

  /** @throws UruncError as the steps do */
  build(index: number): Promise<BuiltStage> {
    let built = this.#built.get(index);
    if (built === undefined) {
      built = this.#carryOut(index);
      this.#built.set(index, built);
    }
    return built;
  }

  async #carryOut(index: number): Promise<BuiltStage> {
    const { plan, workshop } = this.#tools;
    const planned = plan.stages[index] as PlannedStage;
    const { say } = workshop(planned.platform).options;
    const stage = await this.#beginning(planned);
    const { steps, result, warnings } = planStage(plan, index, stage.state);
    for (const warning of warnings) say(warning);
    stage.state = result;
    const counted = steps.filter(({ kind }) => kind !== "configure").length;
    let number = 0;
    for (const step of steps) {
      const empty: HistoryEntry = { created_by: step.createdBy, comment: HISTORY_COMMENT, empty_layer: true };
      if (step.kind === "configure") {
        stage.history.push(empty);
        continue;
      }
      const isNew = await this.#step(
        stage,
        step,
        planned,
        `[${planned.title} ${++number}/${counted}] ${step.title}`,
      );
      stage.history.push(isNew ? { created_by: step.createdBy, comment: HISTORY_COMMENT } : empty);
    }
    return stage;
  }

  async #beginning({ base, platform }: PlannedStage): Promise<BuiltStage> {
    const workshop = this.#tools.workshop(platform);
    if (base.kind === "stage") {
      const { files, history, ...rest } = await this.build(base.index);
      return { ...rest, files: files.fork(), history: [...history] };
    }
    if (base.kind === "scratch") {
      return { files: new StageFiles(workshop, []), state: scratchState(), history: [], created: undefined };
    }
    const image = await workshop.base(base.reference);
    return {
      files: new StageFiles(workshop, image.layers),
      state: imageState(image.config),
      history: [...(image.config.history ?? [])],
      created: image.config.created,
    };
  }

  /** @returns whether the stage has a layer more */
  async #step(
    { files }: BuiltStage,
    step: Exclude<Step, { kind: "configure" }>,
    { platform }: PlannedStage,
    title: string,
  ): Promise<boolean> {
    const { cache, workshop } = this.#tools;
    const { say, signal, time } = workshop(platform).options;
    signal.throwIfAborted();
    const work = await this.#prepare(files, step, platform);
    const key = stepKey([files.key, time ?? null, work.key]);
    const kept = cache.find(key);
    say(kept === undefined ? title : `${title} (as before)`);
    if (kept !== undefined) {
      if (kept !== "unchanged") files.addLayer(kept);
      return kept !== "unchanged";
    }
    const entries = await work.carryOut();
    const result: StepResult =
      entries.length === 0 ? "unchanged" : await files.add(entries, step.kind !== "run");
    cache.keep(key, result);
    return result !== "unchanged";
  }

  /** What a step depends on, besides the files before it, and how it is done. */
  async #prepare(
    files: StageFiles,
    step: Exclude<Step, { kind: "configure" }>,
    platform: Platform,
  ): Promise<{ key: unknown; carryOut(): Promise<TreeEntry[]> }> {
    const { plan, workshop, machine, host } = this.#tools;
    const { file } = plan;
    const { options, time, scratch } = workshop(platform);
    const { say, signal } = options;
    switch (step.kind) {
      case "workdir":
        return {
          key: ["workdir", step.path, step.user],
          carryOut: () => makeWorkingDirectory(files, step, file.name),
        };
      case "run": {
        const isOurs = platform.os === host.os && platform.architecture === host.architecture;
        if (!isOurs) {
          const wanted = platformName(platform);
          throw wrongAt(
            file.name,
            step.at,
            `RUN for ${wanted} is not supported on ${platformName(host)}: build on a machine for ${wanted}, or do it in ` +
              "a stage FROM --platform=$BUILDPLATFORM",
          );
        }
        const origin = (from: StepSource | undefined) => this.#origin(from);
        const binds = await findBinds(step, { name: file.name, origin: (mount) => origin(mount.from) });
        const { argv, script, user, workingDirectory, network } = step;
        const env = step.env.filter((entry) => !step.unkeyed.includes(entry));
        return {
          key: ["run", argv, script ?? null, env, user, workingDirectory, network, keyOfMounts(step, binds)],
          carryOut: () => runIn(files, step, binds, { name: file.name, machine, platform, scratch, signal }),
        };
      }
      default: {
        const origin = await this.#origin(step.from);
        const copying = { name: file.name, time, signal, say };
        const found = await findSources(step, origin, copying);
        const { kind, destination, chown, chmod, parents, excludes, unpack } = step;
        return {
          key: [
            kind,
            destination,
            chown ?? null,
            chmod ?? null,
            parents,
            excludes,
            unpack ?? null,
            await keyOfSources(found, origin),
          ],
          carryOut: () => copyInto(files, step, found, origin, copying),
        };
      }
    }
  }

  async #origin(from: StepSource | undefined): Promise<Origin> {
    const { plan, context, workshop } = this.#tools;
    switch (from?.kind) {
      case undefined:
        return context;
      case "scratch":
        return emptyOrigin();
      case "stage": {
        const { files } = await this.build(from.index);
        const called = `the stage ${(plan.stages[from.index] as PlannedStage).title}`;
        return layersOrigin(called, files.key, () => files.tree());
      }
      case "image": {
        const images = workshop(from.platform);
        const base = await images.base(from.reference);
        const layers = base.layers.map(({ descriptor }) => descriptor.digest);
        return layersOrigin(familiarName(from.reference.value), layers, () => images.files(from.reference));
      }
    }
  }
}
