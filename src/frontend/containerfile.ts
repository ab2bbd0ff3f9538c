import { builtConfig } from "../build/built-config.ts";
import type { ConfigDocument, ProcessDocument } from "../build/image.ts";
import { planLabelled, requireOurs } from "../bunnyfile/labelled.ts";
import { KERNEL_PATH, URUNIT_PATH } from "../bunnyfile/plan.ts";
import { parseDocument } from "../image/spec/document.ts";
import { MAXIMUM_CONFIG } from "../image/spec/manifest.ts";
import type { Platform } from "../image/spec/platform.ts";
import type { Gateway, Result, Solved } from "./gateway.ts";
import type { Output } from "./llb.ts";
import { addKernel, bootFiles, ourKernel } from "./lower.ts";
import { type BuiltImage, configurationsOf, resultOf } from "./metadata.ts";
import type { FrontendOptions } from "./options.ts";

/** BuildKit's own, which every BuildKit has. */
const DOCKERFILE = "dockerfile.v0";

/**
 * Has BuildKit's own frontend build a Containerfile, and puts on its image what boots it.
 *
 * @param frontend our own image
 * @throws UruncError `not-supported` where our kernel and init are for another processor; what BuildKit says of the
 *   Containerfile
 */
export async function solveContainerfile(
  frontend: Output,
  options: FrontendOptions,
  gateway: Gateway,
): Promise<Result> {
  const { source: _, ...others } = options.all;
  // With `cmdline` the first line of the file is not looked at, which would lead here again.
  const made = await gateway.forward(DOCKERFILE, { ...others, cmdline: others["cmdline"] ?? options.image });
  const configurations = configurationsOf(made);
  const severalPlatforms = made.ref instanceof Map;
  const images: BuiltImage[] = [];
  for (const [id, bytes] of configurations) {
    const config = parseDocument(bytes, "the image's configuration", MAXIMUM_CONFIG) as ConfigDocument;
    const solved = solvedOf(made, id);
    images.push(await makeBootable({ config, solved, id, frontend }, options, gateway));
  }
  return resultOf(images, severalPlatforms);
}

function solvedOf({ ref }: Result, id: string): Solved | undefined {
  if (ref === undefined || "id" in ref) return ref;
  return ref.get(id);
}

interface Built {
  config: ConfigDocument;
  /** Undefined for an image without files. */
  solved: Solved | undefined;
  /** Its platform's; empty if it is the only one. */
  id: string;
  frontend: Output;
}

async function makeBootable(
  { config, solved, id, frontend }: Built,
  options: FrontendOptions,
  gateway: Gateway,
): Promise<BuiltImage> {
  const platform = platformOf(config);
  const plan = planLabelled<ProcessDocument>(config.config);
  // One that a Containerfile brings itself is the one that it means.
  const brings = solved !== undefined && (await gateway.statFile(solved, URUNIT_PATH)) !== undefined;
  const urunit = plan.urunit && !brings;
  if (plan.kernel || urunit) requireOurs(platform);
  const time = options.time ?? 0;
  const step = (what: string) => ({
    name: `[${id === "" ? "" : `${id} `}boot] ${what}`,
    platform,
    ignoreCache: options.ignoreCache,
  });
  let files = solved?.output();
  if (plan.kernel) {
    files = addKernel(files, {
      files: ourKernel(frontend),
      time,
      step: step(`our kernel at ${KERNEL_PATH}`),
    });
  }
  const what = urunit ? "our init and /urunc.json" : "/urunc.json";
  files = bootFiles(files, { urunit, annotations: plan.annotations, frontend, time, step: step(what) });
  const { history = [] } = config;
  return {
    solved: await gateway.solve(files),
    config: builtConfig({
      base: config,
      baseLayers: history.filter(({ empty_layer }) => empty_layer !== true).length,
      process: plan.process,
      steps: [...(plan.kernel ? ["kernel"] : []), "boot files"],
      time: options.time,
    }),
    annotations: plan.annotations,
    platform,
  };
}

function platformOf({ os, architecture, variant }: ConfigDocument): Platform {
  return {
    os: String(os ?? "linux"),
    architecture: String(architecture),
    ...(typeof variant === "string" && variant !== "" ? { variant } : {}),
  };
}
