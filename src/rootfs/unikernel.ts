import { UruncError } from "../errors.ts";
import type { ImageFiles } from "./image-files.ts";
import { IMAGE_PREFIX, type ImageWish } from "./wish.ts";

/** A kernel that is the application, and knows nothing of containers. */
export interface Unikernel {
  readonly type: "mewz" | "unikraft";
  /** Of its framework, as far as the image says. */
  readonly version?: string;
  /** The image's own command line. */
  readonly commandLine?: string;
}

const TYPES: readonly string[] = ["unikraft", "mewz"] satisfies readonly Unikernel["type"][];

function isUnikernel(type: string): type is Unikernel["type"] {
  return TYPES.includes(type);
}

/**
 * The unikernel that an image is; undefined: its guest is Linux.
 *
 * @throws UruncError `not-supported`: another guest than those, or what such a one cannot have
 */
export function unikernelOf(wish: ImageWish, files: ImageFiles = {}): Unikernel | undefined {
  const { type, version, commandLine } = wish;
  if (type === "linux") return undefined;
  const image = `the image is a guest of the type ${JSON.stringify(type.slice(0, 40))} (${IMAGE_PREFIX}unikernelType)`;
  if (!isUnikernel(type)) {
    throw new UruncError("not-supported", `${image}: only linux, ${TYPES.join(" and ")} can be run`);
  }
  const wrong = whatIsWrong(type, wish, files);
  if (wrong !== undefined) throw new UruncError("not-supported", `${image}, and ${wrong}`);
  return { type, ...(version ? { version } : {}), ...(commandLine ? { commandLine } : {}) };
}

function whatIsWrong(type: Unikernel["type"], wish: ImageWish, files: ImageFiles): string | undefined {
  if (files.kernel === undefined) return `it names no kernel: give its path by ${IMAGE_PREFIX}binary`;
  if (wish.boot === "agent") return `no agent can be in it: leave ${IMAGE_PREFIX}boot away`;
  if (wish.block !== undefined) return `it gets no block image: leave ${IMAGE_PREFIX}block away`;
  if (type === "mewz" && files.initrd !== undefined)
    return `it gets no initrd: leave ${IMAGE_PREFIX}initrd away`;
  return undefined;
}
