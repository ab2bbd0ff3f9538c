import type { ImagePlan } from "../bunnyfile/plan.ts";
import { type Located, wrongAt } from "../bunnyfile/position.ts";
import { guestFileSize } from "./guest-files.ts";
import { KERNEL_START, kernelKind } from "./kernel-kind.ts";
import type { FileBytes, Workshop } from "./workshop.ts";

/** A kernel, and its configuration where that is known. */
export interface Kernel {
  file: FileBytes;
  config?: FileBytes;
}

/**
 * Finds the kernel of a plan.
 *
 * @throws UruncError `build-file` for what is missing, no kernel, or one for another processor
 */
export async function findKernel(plan: ImagePlan, workshop: Workshop): Promise<Kernel> {
  const { kernel } = plan;
  if (kernel.kind === "builtin") {
    const { guest } = workshop.options;
    return { file: hostFile(guest.kernel), config: hostFile(guest.config) };
  }
  const file = await workshop.findFile(kernel);
  checkKernel(plan, kernel.path, await workshop.start(file, KERNEL_START));
  const { kernelConfig } = plan;
  if (kernelConfig === undefined) return { file };
  if (!kernelConfig.optional) return { file, config: await workshop.findFile(kernelConfig.source) };
  const config = await workshop.find(kernelConfig.source);
  return config?.kind === "file" ? { file, config: { kind: "kept", file: config } } : { file };
}

/**
 * Checks that what a plan names is a kernel for its machine.
 *
 * @param start {@link KERNEL_START} bytes, fewer of a smaller file
 * @throws UruncError `build-file` at the place that names it
 */
export function checkKernel(plan: ImagePlan, { value, at }: Located<string>, start: Uint8Array): void {
  const wrong = (sentence: string) =>
    wrongAt(plan.name, at, `${value} is no kernel for this image: ${sentence}`);
  if (!plan.isLinux) {
    if (start.length === 0) throw wrong("it is empty");
    return;
  }
  const found = kernelKind(start);
  if (found.kind === "other") throw wrong(found.why);
  if (found.architecture !== plan.platform.architecture) {
    throw wrong(`it is for ${found.architecture}, and the image for ${plan.platform.architecture}`);
  }
}

export function hostFile(path: string): FileBytes {
  return { kind: "host", path, size: guestFileSize(path), mode: 0o644 };
}
