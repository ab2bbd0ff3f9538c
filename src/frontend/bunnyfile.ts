import { builtConfig } from "../build/built-config.ts";
import type { ConfigDocument, ProcessDocument } from "../build/image.ts";
import { checkKernel } from "../build/kernel.ts";
import { KERNEL_START } from "../build/kernel-kind.ts";
import { isInNumbers, userInNumbers } from "../build/user.ts";
import { architecturesOf } from "../bunnyfile/architectures.ts";
import type { Source } from "../bunnyfile/bunnyfile.ts";
import { parseBunnyfile } from "../bunnyfile/parse.ts";
import { addsUrunit, type ImagePlan, planImage, processOf, referencesOf } from "../bunnyfile/plan.ts";
import { wrongAt } from "../bunnyfile/position.ts";
import { UruncError } from "../errors.ts";
import { LARGEST_ACCOUNTS } from "../image/accounts.ts";
import { parseDocument } from "../image/spec/document.ts";
import { parseImageConfig } from "../image/spec/image-config.ts";
import { MAXIMUM_CONFIG } from "../image/spec/manifest.ts";
import { platformName } from "../image/spec/platform.ts";
import { familiarName, formatReference, type Reference } from "../image/spec/reference.ts";
import type { BuildText, Gateway, Result } from "./gateway.ts";
import type { Output } from "./llb.ts";
import { Lowering, type Materials } from "./lower.ts";
import { type BuiltImage, resultOf } from "./metadata.ts";
import type { FrontendOptions } from "./options.ts";

/** Arguments that clients add by themselves. */
const AMBIENT = /^(?:(?:https?|ftp|no|all)_proxy|BUILDKIT_.*|SOURCE_DATE_EPOCH)$/i;

/**
 * Has BuildKit build what a bunnyfile says.
 *
 * @param file its text, and its name for sentences
 * @param frontend the frontend's own image
 * @throws UruncError with the place in the file of what is wrong with it, or with what it names
 */
export async function solveBunnyfile(
  file: BuildText,
  frontend: Output,
  options: FrontendOptions,
  gateway: Gateway,
): Promise<Result> {
  const bunnyfile = parseBunnyfile(file.text, file.name);
  checkOptions(options, file.name);
  for (const warning of bunnyfile.warnings) process.stderr.write(`${warning}\n`);
  const architectures = architecturesOf(bunnyfile, options.platforms, gateway.platform);
  const images: BuiltImage[] = [];
  for (const architecture of architectures) {
    images.push(
      await buildOne(planImage(bunnyfile, architecture), file.text, options, gateway, {
        frontend,
        platform: gateway.platform,
        context: { name: options.contextSource, session: options.session },
        resolveMode: options.resolveMode,
        time: options.time ?? 0,
        clamps: options.time !== undefined,
        ignoreCache: options.ignoreCache,
        severalPlatforms: architectures.length > 1,
      }),
    );
  }
  return resultOf(images);
}

function checkOptions({ target, buildArgs, all }: FrontendOptions, name: string): void {
  const argument = [...buildArgs.keys()].find((key) => !AMBIENT.test(key));
  if (target !== undefined || argument !== undefined) {
    throw new UruncError(
      "usage",
      `--build-arg and --target are for Containerfiles, and ${name} is a bunnyfile`,
    );
  }
  // Which the client then does not send.
  if (all["context"] !== undefined) {
    throw new UruncError(
      "usage",
      `a bunnyfile is built of a directory, not of ${all["context"]}: get it first`,
    );
  }
}

async function buildOne(
  asked: ImagePlan,
  text: string,
  options: FrontendOptions,
  gateway: Gateway,
  materials: Omit<Materials, "pinned">,
): Promise<BuiltImage> {
  const images = await findImages(asked, gateway, materials);
  const pinned = new Map([...images].map(([name, { pinnedName }]) => [name, pinnedName]));
  const complete = { ...materials, pinned };
  const plan = await checkSources(asked, new Lowering(asked, complete), gateway);
  const steps = new Lowering(plan, complete);
  const { rootfs } = plan;
  const reference = rootfs.kind === "raw" || rootfs.kind === "made" ? rootfs.base?.value : undefined;
  const base = reference === undefined ? undefined : images.get(formatReference(reference));
  const urunit = addsUrunit(plan, base?.labels ?? {});
  const process = processOf<ProcessDocument>(base?.config.config, plan, urunit);
  process.Labels = { ...process.Labels, ...options.labels };
  if (rootfs.kind === "made" && process.User !== undefined && !isInNumbers(process.User)) {
    process.User = await numericUser(process.User, steps, gateway);
  }
  const isRaw = rootfs.kind === "raw";
  const root = isRaw
    ? plan.includes.length > 0
      ? ["files"]
      : []
    : rootfs.kind === "none"
      ? []
      : [rootfs.type];
  const config = builtConfig({
    base: base?.config,
    baseLayers: isRaw ? (base?.layers ?? 0) : undefined,
    process,
    steps: [...root, "kernel", "boot files"],
    time: options.time,
  });
  const solved = await gateway.solve(steps.all(urunit, text));
  return { solved, config, annotations: plan.annotations, platform: plan.platform };
}

interface FoundImage {
  pinnedName: string;
  config: ConfigDocument;
  labels: Readonly<Record<string, string>>;
  layers: number;
}

/** Asks for the images of a plan, so that all of the build uses the same ones. */
async function findImages(
  plan: ImagePlan,
  gateway: Gateway,
  { resolveMode }: { resolveMode: string },
): Promise<Map<string, FoundImage>> {
  const found = new Map<string, FoundImage>();
  for (const { value, at } of referencesOf(plan)) {
    const name = formatReference(value);
    if (found.has(name)) continue;
    const called = familiarName(value);
    const step = `[base] look for ${called}`;
    const { digest, config } = await gateway
      .imageConfig(name, plan.platform, resolveMode, step)
      .catch((error) => {
        if (error instanceof UruncError) throw wrongAt(plan.name, at, error.message, error);
        throw error;
      });
    const { diffIds, platform, process } = parseImageConfig(config, `the configuration of ${called}`);
    if (platform.os !== plan.platform.os || platform.architecture !== plan.platform.architecture) {
      const is = `${called} is an image for ${platformName(platform)} and not for ${platformName(plan.platform)}`;
      throw wrongAt(plan.name, at, is);
    }
    found.set(name, {
      pinnedName: digest === undefined ? name : formatReference(withDigest(value, digest)),
      config: parseDocument(config, called, MAXIMUM_CONFIG) as ConfigDocument,
      labels: process.labels,
      layers: diffIds.length,
    });
  }
  return found;
}

function withDigest(reference: Reference, digest: string): Reference {
  return { ...reference, digest: reference.digest ?? digest };
}

/** Looks at what a plan names, to say what is wrong with its place; gives the plan without what it may lack. */
async function checkSources(plan: ImagePlan, steps: Lowering, gateway: Gateway): Promise<ImagePlan> {
  const look = async (source: Source) => {
    const solved = await gateway.solve(steps.origin(source));
    return { solved, status: await gateway.statFile(solved, source.path.value) };
  };
  const missing = ({ path, ...source }: Source) => {
    const where = source.kind === "local" ? "the build's context" : familiarName(source.reference.value);
    return wrongAt(plan.name, path.at, `there is no ${path.value} in ${where}`);
  };
  const findFile = async (source: Source) => {
    const { solved, status } = await look(source);
    if (status === undefined) throw missing(source);
    if (status.isDirectory) {
      throw wrongAt(plan.name, source.path.at, `${source.path.value} is a directory, and a file is needed`);
    }
    return solved;
  };
  for (const { source } of plan.includes) {
    if ((await look(source)).status === undefined) throw missing(source);
  }
  if (plan.rootfs.kind === "file") await findFile(plan.rootfs.source);
  const { kernel, kernelConfig, ...rest } = plan;
  if (kernel.kind !== "builtin") {
    const solved = await findFile(kernel);
    const start = await gateway.readFile(solved, kernel.path.value, KERNEL_START);
    checkKernel(plan, kernel.path, start);
  }
  if (kernelConfig === undefined) return plan;
  const { status } = await look(kernelConfig.source);
  if (status !== undefined && !status.isDirectory) return plan;
  if (!kernelConfig.optional) throw missing(kernelConfig.source);
  return { ...rest, kernel };
}

/** Engines look names up in the image's own files, and its root is in a file. */
async function numericUser(user: string, steps: Lowering, gateway: Gateway): Promise<string> {
  const files = steps.files();
  if (files === undefined) return user;
  const solved = await gateway.solve(files);
  const read = async (path: string) =>
    (await gateway.statFile(solved, path)) === undefined
      ? ""
      : Buffer.from(await gateway.readFile(solved, path, LARGEST_ACCOUNTS)).toString();
  return userInNumbers(user, { passwd: await read("/etc/passwd"), group: await read("/etc/group") });
}
