import type { Platform } from "../image/spec/platform.ts";
import type { Reference } from "../image/spec/reference.ts";
import {
  ANNOTATION_PREFIX,
  ARCHITECTURE_WORD,
  type Architecture,
  type Bunnyfile,
  type Include,
  type KernelSource,
  type Rootfs,
  type Source,
} from "./bunnyfile.ts";
import { joinCommandLine } from "./command-line.ts";
import type { Located } from "./position.ts";

/** Where in an image is what it is booted with; the existing tools have the same places, but for the configuration. */
export const KERNEL_PATH = "/.boot/kernel";
export const KERNEL_CONFIG_PATH = "/.boot/config";
export const ROOTFS_PATH = "/.boot/rootfs";
export const URUNIT_PATH = "/urunit";
export const URUNC_JSON_PATH = "/urunc.json";

/** `false` in an image: it brings its own init. */
export const DECLINING_LABEL = "bunny.urunit";

/** The image's part of `config` that a plan changes: image-spec `config.md`. */
export interface Process {
  Env?: string[];
  Entrypoint?: string[] | null;
  Cmd?: string[] | null;
  Labels?: Record<string, string>;
}

/**
 * One image, for one platform: what is fetched, what is written where, and what is said about it. Whoever carries it
 * out, the image is the same.
 */
export interface ImagePlan {
  /** Of the build file, for sentences. */
  name: string;
  platform: Platform;
  /** What is at {@link KERNEL_PATH}. */
  kernel: KernelSource;
  /**
   * What is at {@link KERNEL_CONFIG_PATH}. If `optional`, and it is not there, the image has none. The builtin kernel
   * has its own.
   */
  kernelConfig?: { source: Source; optional: boolean };
  /** Linux, whose kernel can be told from other files. */
  isLinux: boolean;
  /**
   * For `raw`, the image's layers are the base's and what is written here; for all others, what is written here alone,
   * with the configuration of the base. For `made` and `file`, that is a file at {@link ROOTFS_PATH}.
   */
  rootfs: Rootfs;
  /** Into the root of the machine: for `raw` that is the image's, else the initrd or block image. */
  includes: Include[];
  /**
   * Whether our init goes to {@link URUNIT_PATH}, in the image and in an initrd or block image that is made; see
   * {@link addsUrunit}.
   */
  urunit: "yes" | "no" | "unless-base-declines";
  /** Of the manifest, and labels of the configuration. */
  annotations: Record<string, string>;
  entrypoint?: string[];
  cmd?: string[];
  env: string[];
}

/**
 * Plans the image for one platform.
 *
 * @param architecture one of the file's, if it names any
 */
export function planImage(file: Bunnyfile, architecture: Architecture): ImagePlan {
  const here = <T>({ value, at }: Located<string>, more: T): T & { path: Located<string> } => ({
    ...more,
    path: { value: value.replaceAll(ARCHITECTURE_WORD, architecture), at },
  });
  const placed = <S extends KernelSource>(source: S): S =>
    source.kind === "builtin" ? source : here(source.path, source);
  const kernel = placed(file.kernel);
  const includes = file.includes.map(({ source, destination }) => ({ source: placed(source), destination }));
  const rootfs =
    file.rootfs.kind === "file" ? { ...file.rootfs, source: placed(file.rootfs.source) } : file.rootfs;
  const kernelConfig = configOf(file, kernel);
  return {
    name: file.name,
    platform: { os: "linux", architecture },
    kernel,
    ...(kernelConfig === undefined
      ? {}
      : { kernelConfig: { ...kernelConfig, source: placed(kernelConfig.source) } }),
    isLinux: file.framework === "linux",
    rootfs,
    includes,
    urunit: urunitOf(file),
    annotations: annotationsOf(file),
    ...(file.entrypoint === undefined ? {} : { entrypoint: file.entrypoint }),
    ...(file.cmd === undefined ? {} : { cmd: file.cmd }),
    env: file.env,
  };
}

function urunitOf({ framework, urunit, includes }: Bunnyfile): ImagePlan["urunit"] {
  const isIncluded = includes.some(({ destination }) => destination.value === URUNIT_PATH);
  if (framework !== "linux" || urunit === false || isIncluded) return "no";
  return urunit === undefined ? "unless-base-declines" : "yes";
}

/** Whether our init is added, with the labels of the base that the image is made on. */
export function addsUrunit(plan: ImagePlan, labels: Readonly<Record<string, string>>): boolean {
  return (
    plan.urunit === "yes" || (plan.urunit === "unless-base-declines" && labels[DECLINING_LABEL] !== "false")
  );
}

/** What the file names, or `config` beside the kernel of an image, as our kernel images have it. */
function configOf(file: Bunnyfile, kernel: KernelSource): ImagePlan["kernelConfig"] {
  if (kernel.kind === "builtin") return undefined;
  const { kernelConfig } = file;
  if (kernelConfig !== undefined) return { source: { ...kernel, path: kernelConfig }, optional: false };
  if (kernel.kind === "local") return undefined;
  const { value, at } = kernel.path;
  const beside = `${value.slice(0, value.lastIndexOf("/"))}/config`;
  return { source: { ...kernel, path: { value: beside, at } }, optional: true };
}

function annotationsOf(file: Bunnyfile): Record<string, string> {
  const { rootfs, frameworkVersion } = file;
  const own: Record<string, string> = {
    unikernelType: file.framework,
    hypervisor: file.monitor,
    binary: KERNEL_PATH,
    mountRootfs: String(rootfs.kind === "raw"),
  };
  if (frameworkVersion !== undefined) own["unikernelVersion"] = frameworkVersion;
  if (file.cmd !== undefined && file.cmd.length > 0) own["cmdline"] = joinCommandLine(file.cmd);
  if (rootfs.kind === "made" || rootfs.kind === "file") {
    own[rootfs.type] = ROOTFS_PATH;
    if (rootfs.type === "block") own["blkMntPoint"] = file.framework === "rumprun" ? "/data" : "/";
  }
  const all = { ...file.annotations };
  for (const [key, value] of Object.entries(own)) all[`${ANNOTATION_PREFIX}${key}`] = value;
  return Object.fromEntries(Object.entries(all).sort(([one], [other]) => (one < other ? -1 : 1)));
}

/** The text of {@link URUNC_JSON_PATH}: what runtimes read that get no annotations. */
export function uruncJson(annotations: Readonly<Record<string, string>>): string {
  const entries = Object.entries(annotations).filter(([key]) => key.startsWith(ANNOTATION_PREFIX));
  return JSON.stringify(
    Object.fromEntries(entries.map(([key, value]) => [key, Buffer.from(value).toString("base64")])),
  );
}

/**
 * The image's field `config`: the base's, with what the plan replaces and adds.
 *
 * @param urunit what {@link addsUrunit} says
 */
export function processOf<P extends Process>(
  base: P | undefined,
  plan: Pick<ImagePlan, "annotations" | "entrypoint" | "cmd" | "env">,
  urunit: boolean,
): P {
  const config = { ...base } as P;
  let entrypoint = plan.entrypoint ?? config.Entrypoint ?? [];
  let cmd = plan.cmd ?? config.Cmd ?? [];
  // A command that begins with the init is the whole of it, as the guide writes it: the base's entrypoint is no init.
  if (plan.entrypoint === undefined && plan.cmd?.[0] === URUNIT_PATH) {
    entrypoint = [URUNIT_PATH];
    cmd = plan.cmd.slice(1);
  } else if (urunit && entrypoint[0] !== URUNIT_PATH) {
    entrypoint = [URUNIT_PATH, ...entrypoint];
  }
  delete config.Entrypoint;
  delete config.Cmd;
  if (entrypoint.length > 0) config.Entrypoint = entrypoint;
  if (cmd.length > 0) config.Cmd = cmd;
  // Of a name that is there twice, programs take either.
  const names = plan.env.map(nameOf);
  const env = [...(config.Env ?? []).filter((entry) => !names.includes(nameOf(entry))), ...plan.env];
  if (env.length > 0) config.Env = env;
  // Those of the base are about how the base is booted.
  const labels = Object.entries(config.Labels ?? {}).filter(([key]) => !key.startsWith(ANNOTATION_PREFIX));
  config.Labels = { ...Object.fromEntries(labels), ...plan.annotations };
  return config;
}

function nameOf(entry: string): string {
  return entry.slice(0, entry.indexOf("="));
}

/** The images that a plan is made of, each once. */
export function referencesOf(plan: ImagePlan): Located<Reference>[] {
  const sources: Located<Reference>[] = [];
  const add = (source: KernelSource) => {
    if (source.kind === "image") sources.push(source.reference);
  };
  add(plan.kernel);
  if (plan.rootfs.kind === "file") add(plan.rootfs.source);
  else if (plan.rootfs.kind !== "none" && plan.rootfs.base !== undefined) sources.push(plan.rootfs.base);
  for (const { source } of plan.includes) add(source);
  return sources;
}
