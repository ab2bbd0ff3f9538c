import { ARCHITECTURES } from "../../bunnyfile/bunnyfile.ts";
import { planLabelled, requireOurs } from "../../bunnyfile/labelled.ts";
import { type ImagePlan, planImage, URUNIT_PATH } from "../../bunnyfile/plan.ts";
import { UruncError } from "../../errors.ts";
import { find, insideRoot } from "../../image/layers/lookup.ts";
import type { Descriptor } from "../../image/spec/manifest.ts";
import { type Platform, platformName } from "../../image/spec/platform.ts";
import type { Reference } from "../../image/spec/reference.ts";
import { builtConfig } from "../built-config.ts";
import { type ConfigDocument, type ProcessDocument, writeImage } from "../image.ts";
import { hostFile } from "../kernel.ts";
import { addLayers, bootStep, kernelStep, type Step } from "../pack.ts";
import type { Workshop } from "../workshop.ts";
import type { StageFiles } from "./stage-files.ts";

const START = { line: 1, column: 1 };

/**
 * Puts on what a Containerfile comes to what boots it. What its labels say of that is kept, as is an init that it brings.
 *
 * @param config of the image without that
 * @returns the manifest's descriptor; it has no name yet
 * @throws UruncError `not-supported` for a processor that our kernel and init are not for, if the image lacks them
 */
export async function packBootable(
  config: ConfigDocument,
  files: StageFiles,
  platform: Platform,
  workshop: Workshop,
): Promise<Descriptor> {
  const { guest, layout, time } = workshop.options;
  const plan = planLabelled<ProcessDocument>(config.config);
  const urunit = plan.urunit && !(await bringsInit(files));
  if (plan.kernel || urunit) requireOurs(platform);
  const steps: Step[] = [];
  if (plan.kernel) {
    const kernel = { file: hostFile(guest.kernel), config: hostFile(guest.config) };
    steps.push(kernelStep(kernel, workshop));
  }
  steps.push(bootStep(plan.annotations, urunit, workshop));
  const layers = await addLayers(files.layers, steps, workshop);
  const built = builtConfig({
    base: config,
    baseLayers: files.layers.length,
    process: plan.process,
    steps: steps.map(({ what }) => what),
    time,
  });
  return writeImage(layout, { config: built, layers, annotations: plan.annotations, platform });
}

async function bringsInit(files: StageFiles): Promise<boolean> {
  return find(await files.tree(), insideRoot(URUNIT_PATH.slice(1))) !== undefined;
}

/**
 * How files of a machine are made of what a Containerfile comes to: as of a bunnyfile that has the builtin kernel, and it as
 * its base.
 *
 * @param name of the build file, for sentences
 * @throws UruncError `not-supported` for a processor without a kernel
 */
export function bootablePlan(name: string, platform: Platform, base: Reference): ImagePlan {
  const architecture = ARCHITECTURES.find((known) => known === platform.architecture);
  if (platform.os !== "linux" || architecture === undefined) {
    throw new UruncError(
      "not-supported",
      `there is no kernel for ${platformName(platform)}: build the image alone, with --plain`,
    );
  }
  const plan = planImage(
    {
      name,
      framework: "linux",
      monitor: "qemu",
      architectures: [],
      kernel: { kind: "builtin", at: { value: "builtin", at: START } },
      rootfs: { kind: "raw", base: { value: base, at: START } },
      includes: [],
      env: [],
      annotations: {},
      warnings: [],
    },
    architecture,
  );
  return { ...plan, platform };
}
