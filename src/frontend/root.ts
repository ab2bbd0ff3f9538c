import { mkdirSync, readFileSync, utimesSync } from "node:fs";
import { dirname } from "node:path";
import { Context } from "../build/context.ts";
import { writeFiles } from "../build/files.ts";
import { guestFiles } from "../build/guest-files.ts";
import { type ImageFiles, Workshop } from "../build/workshop.ts";
import type { Architecture } from "../bunnyfile/bunnyfile.ts";
import { parseBunnyfile } from "../bunnyfile/parse.ts";
import { planImage } from "../bunnyfile/plan.ts";
import type { Located } from "../bunnyfile/position.ts";
import { UruncError } from "../errors.ts";
import { ContentStore } from "../image/layers/content.ts";
import { treeOfDirectory } from "../image/layers/directory-reader.ts";
import type { Access } from "../image/location.ts";
import type { Platform } from "../image/spec/platform.ts";
import { formatReference, type Reference } from "../image/spec/reference.ts";
import { Layout } from "../image/store/layout.ts";
import { SILENT } from "../image/transport.ts";
import { ROOT_CONTEXT } from "./lower.ts";

/** A root that is made in a step of a build: what `Lowering` runs the program with. */
export interface RootRequest {
  /** The bunnyfile, and what it is called in sentences. */
  file: string;
  name: string;
  platform: Platform;
  /** Our init goes into it. */
  urunit: boolean;
  /** Where images are, by their whole names. */
  images: ReadonlyMap<string, string>;
  output: string;
  /** `SOURCE_DATE_EPOCH`. */
  time: number | undefined;
}

/**
 * Makes the initrd or the block image that a bunnyfile wants of images that BuildKit has mounted: the same file that
 * `bunny build` makes of their layers.
 *
 * @throws UruncError as a build does
 */
export async function makeRoot(
  request: RootRequest,
  access: Access,
  say: (line: string) => void,
  signal: AbortSignal,
): Promise<void> {
  const { file, name, output, time, urunit } = request;
  const bunnyfile = parseBunnyfile(readFileSync(file, "utf8"), name);
  const plan = planImage(bunnyfile, request.platform.architecture as Architecture);
  const { rootfs } = plan;
  if (rootfs.kind !== "made" && rootfs.kind !== "file") {
    throw new UruncError("internal", `the root of ${name} is no file`);
  }
  const contents = new ContentStore();
  // Both are dropped with the step's own root.
  const layout = Layout.openOrCreate("/tmp/store");
  mkdirSync(ROOT_CONTEXT, { recursive: true });
  const options = {
    layout,
    access,
    contents,
    context: new Context(ROOT_CONTEXT, time ?? 0),
    guest: guestFiles(),
    time,
    pull: "missing" as const,
    progress: SILENT,
    say,
    signal,
  };
  const workshop = new MountedImages(options, plan.platform, name, request.images);
  try {
    mkdirSync(dirname(output), { recursive: true, mode: 0o755 });
    await writeFiles({ ...plan, urunit: urunit ? "yes" : "no" }, workshop, [
      { kind: rootfs.type, path: output },
    ]);
    for (const made of [output, dirname(output)]) utimesSync(made, workshop.time, workshop.time);
  } finally {
    workshop.close();
    contents.close();
  }
}

/** A workshop whose images are directories. */
class MountedImages extends Workshop {
  readonly #directories: ReadonlyMap<string, string>;

  constructor(
    options: Workshop["options"],
    platform: Platform,
    name: string,
    directories: ReadonlyMap<string, string>,
  ) {
    super(options, platform, name);
    this.#directories = directories;
  }

  override async imageFiles({ value }: Located<Reference>): Promise<ImageFiles> {
    const name = formatReference(value);
    const directory = this.#directories.get(name);
    if (directory === undefined) throw new UruncError("internal", `nobody has mounted the image ${name}`);
    return {
      labels: {},
      unpack: async () => {
        const root = treeOfDirectory(directory, this.options.contents, { signal: this.options.signal });
        // The mount's own, which is the time that the image was unpacked at.
        root.mtime = { seconds: this.time, nanoseconds: 0 };
        return root;
      },
    };
  }
}
