import {
  type ImagePlan,
  KERNEL_CONFIG_PATH,
  KERNEL_PATH,
  processOf,
  ROOTFS_PATH,
  URUNC_JSON_PATH,
  URUNIT_PATH,
  uruncJson,
} from "../bunnyfile/plan.ts";
import { plainDirectory } from "../image/layers/tree.ts";
import type { Descriptor } from "../image/spec/manifest.ts";
import { builtConfig } from "./built-config.ts";
import type { LayerEntry } from "./entry.ts";
import { type ProcessDocument, writeImage } from "./image.ts";
import { findKernel, hostFile, type Kernel } from "./kernel.ts";
import { type BuiltLayer, writeLayer } from "./layer.ts";
import { type MachineRoot, machineRoot, scratchFile } from "./root.ts";
import { isInNumbers, numericUser } from "./user.ts";
import type { Workshop } from "./workshop.ts";

/** A layer on its way, and the sentence for the image's history. */
export interface Step {
  what: string;
  entries: readonly LayerEntry[];
}

/**
 * Builds the image of a plan in the store: each part a layer of its own, so that images share what is the same.
 *
 * @returns the manifest's descriptor; it has no name yet
 */
export async function packImage(plan: ImagePlan, workshop: Workshop): Promise<Descriptor> {
  const { layout, say, time } = workshop.options;
  const root = await machineRoot(plan, workshop);
  const kernel = await findKernel(plan, workshop);
  const { rootfs } = plan;
  const isRaw = rootfs.kind === "raw";
  const kept = isRaw ? (root.base?.layers ?? []) : [];
  const steps: Step[] = [kernelStep(kernel, workshop)];
  const process = processOf<ProcessDocument>(root.base?.config.config, plan, root.urunit);
  if (rootfs.kind === "raw") {
    const entries = await root.added();
    if (entries.length > 0) steps.unshift({ what: "files", entries });
  } else if (rootfs.kind !== "none") {
    const { type } = rootfs;
    say(`${type}: ${rootfs.kind === "made" ? "making it" : "as it is"}`);
    const file = await root.file(type, scratchFile(workshop));
    const entries: LayerEntry[] = [
      { kind: "inode", path: ".boot", inode: plainDirectory() },
      workshop.entry(ROOTFS_PATH.slice(1), file, 0o644),
    ];
    steps.push({ what: type, entries });
    if (process.User !== undefined) process.User = await userOf(process.User, root, workshop);
  }
  steps.push(bootStep(plan.annotations, root.urunit, workshop));
  const layers = await addLayers(kept, steps, workshop);
  const config = builtConfig({
    base: root.base?.config,
    baseLayers: isRaw ? kept.length : undefined,
    process,
    steps: steps.map(({ what }) => what),
    time,
  });
  return writeImage(layout, { config, layers, annotations: plan.annotations, platform: plan.platform });
}

/** Names are looked up in the image's own files, of which such an image has none. */
async function userOf(user: string, root: MachineRoot, workshop: Workshop): Promise<string> {
  if (isInNumbers(user)) return user;
  const tree = await root.tree();
  return tree === undefined ? user : numericUser(user, tree, workshop.options.contents);
}

/** A kernel, and its configuration where it is known. */
export function kernelStep({ file, config }: Kernel, workshop: Workshop): Step {
  return {
    what: "kernel",
    entries: [
      { kind: "inode", path: ".boot", inode: plainDirectory() },
      workshop.entry(KERNEL_PATH.slice(1), file, 0o644),
      ...(config === undefined ? [] : [workshop.entry(KERNEL_CONFIG_PATH.slice(1), config, 0o644)]),
    ],
  };
}

/** What runtimes look for, and our init. */
export function bootStep(annotations: Record<string, string>, urunit: boolean, workshop: Workshop): Step {
  const { context, guest } = workshop.options;
  const json: LayerEntry = {
    kind: "bytes",
    path: URUNC_JSON_PATH.slice(1),
    metadata: context.metadata(0o644),
    bytes: Buffer.from(uruncJson(annotations)),
  };
  const init = urunit ? [workshop.entry(URUNIT_PATH.slice(1), hostFile(guest.urunit), 0o755)] : [];
  return { what: "boot files", entries: [...init, json] };
}

/** Writes layers to the store, on others. */
export async function addLayers(
  lower: readonly BuiltLayer[],
  steps: readonly Step[],
  workshop: Workshop,
): Promise<BuiltLayer[]> {
  const { layout, contents, say, signal, time } = workshop.options;
  const layers = [...lower];
  for (const { what, entries } of steps) {
    signal.throwIfAborted();
    say(`layer: ${what}`);
    layers.push(
      await writeLayer(layout, entries, { contents, signal, ...(time === undefined ? {} : { time }) }),
    );
  }
  return layers;
}
