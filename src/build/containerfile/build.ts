import { join } from "node:path";
import { cacheDirectory } from "../../config/own-directories.ts";
import type { IgnoreRules } from "../../containerfile/ignore.ts";
import { parseContainerfile } from "../../containerfile/parse.ts";
import { HISTORY_COMMENT } from "../../containerfile/plan.ts";
import { planBuild } from "../../containerfile/plan-build.ts";
import { UruncError } from "../../errors.ts";
import { parseImageConfig } from "../../image/spec/image-config.ts";
import type { Descriptor } from "../../image/spec/manifest.ts";
import { hostPlatform, type Platform, platformName } from "../../image/spec/platform.ts";
import type { Places } from "../../machines/places.ts";
import type { BuildFile } from "../build-file.ts";
import { EPOCH, fittingHistory } from "../built-config.ts";
import type { Wanted } from "../bunnyfile.ts";
import { dateOf } from "../file-image.ts";
import { writeFiles } from "../files.ts";
import { readIgnoreRules } from "../ignore-file.ts";
import { configBytes, writeImage, writeIndex } from "../image.ts";
import { Workshop, type WorkshopOptions } from "../workshop.ts";
import { bootablePlan, packBootable } from "./bootable.ts";
import { contextOrigin } from "./origin.ts";
import { type BuiltStage, Stages } from "./stages.ts";
import { StepCache } from "./step-cache.ts";

/** What is asked for of a Containerfile's build, besides. */
export interface ContainerfileRequest {
  buildArgs: ReadonlyMap<string, string>;
  target?: string;
  /** What earlier builds came to is not looked at. */
  noCache: boolean;
  /** The image is what the file says, and nothing to boot it with is added. */
  plain: boolean;
  /** Where machines of RUN are. */
  places: Places;
  network: "user" | "none";
  /** Bytes, of the machines of RUN (default: what the host has for them). */
  memory?: number;
}

/**
 * Builds what a Containerfile says. Unless it is to be plain, the image gets what boots it and it does not bring.
 *
 * @returns the image, if one is wanted; it has no name yet
 */
export async function buildContainerfile(
  file: BuildFile,
  wanted: Wanted,
  request: ContainerfileRequest,
  options: WorkshopOptions,
): Promise<Descriptor | undefined> {
  const parsed = parseContainerfile(file.text, file.name);
  const ignore = readIgnoreRules(file.path, options.context.directory);
  const platforms = wanted.platforms.length === 0 ? [hostPlatform()] : wanted.platforms;
  if (wanted.files.length > 0 && platforms.length > 1) {
    throw new UruncError("usage", "files of a machine are of one platform: name it with --platform");
  }
  const cache = new StepCache(join(cacheDirectory("bunny"), "steps"), options.layout, !request.noCache);
  const images: { descriptor: Descriptor; platform: Platform }[] = [];
  for (const [index, platform] of platforms.entries()) {
    const { buildArgs, target } = request;
    const plan = planBuild(parsed, {
      ...{ buildArgs, platform, buildPlatform: hostPlatform() },
      ...(target === undefined ? {} : { target }),
    });
    // The same for each platform.
    if (index === 0) for (const warning of plan.warnings) options.say(warning);
    if (platforms.length > 1) options.say(`platform: ${platformName(platform)}`);
    const workshops = new Workshops(options, file.name);
    try {
      const stages = new Stages({
        plan,
        context: contextOrigin(options.context, options.contents, wantsOf(ignore), options.signal),
        workshop: (one) => workshops.of(one),
        cache,
        machine: { ...request, say: options.say },
        host: hostPlatform(),
      });
      for (const needed of plan.order) await stages.build(needed);
      const descriptor = await finish(
        await stages.build(plan.target),
        platform,
        wanted,
        request,
        workshops.of(platform),
      );
      if (descriptor !== undefined) images.push({ descriptor, platform });
    } finally {
      workshops.close();
      cache.tidy();
    }
  }
  const [only] = images;
  return images.length > 1 ? writeIndex(options.layout, images) : only?.descriptor;
}

/** One for each platform, as images are of one. */
class Workshops {
  readonly #options: WorkshopOptions;
  readonly #name: string;
  readonly #all = new Map<string, Workshop>();

  constructor(options: WorkshopOptions, name: string) {
    this.#options = options;
    this.#name = name;
  }

  of(platform: Platform): Workshop {
    const key = platformName(platform);
    let workshop = this.#all.get(key);
    if (workshop === undefined) {
      workshop = new Workshop(this.#options, platform, this.#name);
      this.#all.set(key, workshop);
    }
    return workshop;
  }

  close(): void {
    for (const workshop of this.#all.values()) workshop.close();
  }
}

/** Makes what is wanted of the last stage. */
async function finish(
  { files, state, history, created: base }: BuiltStage,
  platform: Platform,
  wanted: Wanted,
  request: ContainerfileRequest,
  workshop: Workshop,
): Promise<Descriptor | undefined> {
  const { layout, time } = workshop.options;
  const created = time === undefined ? (base ?? EPOCH) : dateOf(time);
  const { layers } = files;
  const dated = history.map((entry) => (entry.comment === HISTORY_COMMENT ? { created, ...entry } : entry));
  const { config: process, ...rest } = state.config;
  const config = {
    ...rest,
    created,
    ...(process === undefined ? {} : { config: process }),
    history: fittingHistory(dated, layers.length),
  };
  const parts = { config, layers, platform };
  if (wanted.files.length > 0) {
    const image = parseImageConfig(configBytes(parts), workshop.name);
    const base = workshop.provide({ config, image, layers });
    await writeFiles(bootablePlan(workshop.name, platform, base), workshop, wanted.files);
  }
  if (!wanted.image) return undefined;
  return request.plain
    ? writeImage(layout, { ...parts, annotations: {} })
    : packBootable(config, files, platform, workshop);
}

function wantsOf(ignore: IgnoreRules): (path: string, isDirectory: boolean) => "yes" | "no" | "within" {
  return (bytes, isDirectory) => {
    const path = Buffer.from(bytes, "latin1").toString();
    if (!ignore.isIgnored(path)) return "yes";
    return isDirectory && ignore.hasExceptionsIn(path) ? "within" : "no";
  };
}
