import { UruncError } from "../errors.ts";
import { type Platform, platformName } from "../image/spec/platform.ts";
import { ANNOTATION_PREFIX } from "./bunnyfile.ts";
import { DECLINING_LABEL, KERNEL_PATH, type Process, processOf, URUNIT_PATH } from "./plan.ts";

/** What makes an image bootable that a Containerfile built. */
export interface LabelledPlan<P> {
  /** Our kernel goes to {@link KERNEL_PATH}: the labels name none. */
  kernel: boolean;
  /** Our init goes to `/urunit`, and before the entrypoint. */
  urunit: boolean;
  /** Of the manifest, for `/urunc.json`, and labels. */
  annotations: Record<string, string>;
  /** The image's field `config`. */
  process: P;
}

/**
 * Plans what is put on an image that a Containerfile built. Its labels `com.urunc.unikernel.*` say how it is booted, and
 * what they do not say is said for it: Linux under QEMU, by our kernel, with our init unless the label `bunny.urunit` is
 * `false`, and the image's own files as the root unless `initrd` or `block` names a file.
 */
export function planLabelled<P extends Process>(config: P | undefined): LabelledPlan<P> {
  const labels = config?.Labels ?? {};
  const said = Object.entries(labels).filter(([key]) => key.startsWith(ANNOTATION_PREFIX));
  const annotations = Object.fromEntries(said);
  const of = (key: string) => annotations[`${ANNOTATION_PREFIX}${key}`];
  const kernel = of("binary") === undefined;
  const isFile = of("initrd") !== undefined || of("block") !== undefined;
  const otherwise: Record<string, string> = {
    unikernelType: "linux",
    hypervisor: "qemu",
    binary: KERNEL_PATH,
    mountRootfs: String(!isFile),
  };
  if (of("block") !== undefined) otherwise["blkMntPoint"] = "/";
  for (const [key, value] of Object.entries(otherwise)) {
    if (of(key) === undefined) annotations[`${ANNOTATION_PREFIX}${key}`] = value;
  }
  const urunit = labels[DECLINING_LABEL] !== "false" && of("unikernelType") === "linux";
  const { Entrypoint: entrypoint, Cmd: cmd } = config ?? {};
  // A command that begins with an init is told as one.
  const isWhole = (entrypoint ?? []).length === 0 && cmd?.[0] === URUNIT_PATH;
  const command = isWhole && cmd != null ? { cmd } : {};
  const sorted = Object.fromEntries(
    Object.entries(annotations).sort(([one], [other]) => (one < other ? -1 : 1)),
  );
  return {
    kernel,
    urunit,
    annotations: sorted,
    process: processOf(config, { annotations: sorted, env: [], ...command }, urunit),
  };
}

/**
 * Our kernel and init are of one processor's.
 *
 * @throws UruncError `not-supported` for an image of another's
 */
export function requireOurs(platform: Platform): void {
  if (platform.os === "linux" && platform.architecture === "amd64") return;
  throw new UruncError(
    "not-supported",
    `our kernel and init are for amd64, and the image for ${platformName(platform)}: bring others, and say so with ` +
      "the labels com.urunc.unikernel.binary and bunny.urunit=false",
  );
}
