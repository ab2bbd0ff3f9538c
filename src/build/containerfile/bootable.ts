import { ARCHITECTURES } from "../../bunnyfile/bunnyfile.ts";
import { type ImagePlan, planImage } from "../../bunnyfile/plan.ts";
import { UruncError } from "../../errors.ts";
import { type Platform, platformName } from "../../image/spec/platform.ts";
import type { Reference } from "../../image/spec/reference.ts";
import type { ConfigDocument } from "../image.ts";

const PREFIX = "com.urunc.unikernel.";
const START = { line: 1, column: 1 };

/** Whether an image says itself how it is booted. */
export function isBootable({ config }: ConfigDocument): boolean {
  return Object.keys(config?.Labels ?? {}).some((key) => key.startsWith(PREFIX));
}

/**
 * How what a Containerfile comes to is made bootable: as a bunnyfile that has the builtin kernel, and it as its base.
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
