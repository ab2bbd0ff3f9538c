import { architecturesOf } from "../bunnyfile/architectures.ts";
import { parseBunnyfile } from "../bunnyfile/parse.ts";
import { planImage } from "../bunnyfile/plan.ts";
import { UruncError } from "../errors.ts";
import type { Descriptor } from "../image/spec/manifest.ts";
import { hostPlatform, type Platform, platformName } from "../image/spec/platform.ts";
import type { BuildFile } from "./build-file.ts";
import { writeFiles } from "./files.ts";
import { writeIndex } from "./image.ts";
import type { FileForm } from "./output.ts";
import { packImage } from "./pack.ts";
import { Workshop, type WorkshopOptions } from "./workshop.ts";

/** What is wanted of a build. */
export interface Wanted {
  /** None: those of the file, or this machine's. */
  platforms: readonly Platform[];
  /** The image, in the store. */
  image: boolean;
  files: readonly { kind: FileForm; path: string }[];
}

/** Builds what a bunnyfile says. */
export async function buildBunnyfile(
  file: BuildFile,
  wanted: Wanted,
  options: WorkshopOptions,
): Promise<Descriptor | undefined> {
  const bunnyfile = parseBunnyfile(file.text, file.name);
  for (const warning of bunnyfile.warnings) options.say(warning);
  const architectures = architecturesOf(bunnyfile, wanted.platforms, hostPlatform());
  if (wanted.files.length > 0 && architectures.length > 1) {
    throw new UruncError("usage", "files of a machine are of one platform: name it with --platform");
  }
  const images: { descriptor: Descriptor; platform: Platform }[] = [];
  for (const architecture of architectures) {
    const plan = planImage(bunnyfile, architecture);
    const workshop = new Workshop(options, plan.platform, file.name);
    try {
      if (architectures.length > 1) options.say(`platform: ${platformName(plan.platform)}`);
      if (wanted.image) images.push({ descriptor: await packImage(plan, workshop), platform: plan.platform });
      await writeFiles(plan, workshop, wanted.files);
    } finally {
      workshop.close();
    }
  }
  const [only] = images;
  return images.length > 1 ? writeIndex(options.layout, images) : only?.descriptor;
}
