import { CONFIG_PREFIX } from "../config/annotations.ts";
import type { Spec } from "../oci/runtime-spec.ts";
import { ROOT_PREFIX } from "../rootfs/given.ts";
import { IMAGE_PREFIX } from "../rootfs/wish.ts";

/** Annotations by which CRI implementations mark the sandbox (pause) container of a pod. */
const SANDBOX_MARKS: [key: string, value: string][] = [
  ["io.kubernetes.cri.container-type", "sandbox"],
  ["io.kubernetes.cri-o.ContainerType", "sandbox"],
];

/**
 * Whether a container becomes a virtual machine, or is the engine's own affair: a pod's sandbox container holds
 * nothing but name spaces; one that asks for a guest, by annotations or because its image does, has one; any other is
 * what the configuration says.
 */
export function guestKind(spec: Spec, unannotated: "vm" | "container", imageAsks = false): "vm" | "engine" {
  const annotations = spec.annotations ?? {};
  if (SANDBOX_MARKS.some(([key, value]) => annotations[key] === value)) return "engine";
  const asks = (key: string) =>
    [IMAGE_PREFIX, ROOT_PREFIX, CONFIG_PREFIX].some((prefix) => key.startsWith(prefix));
  if (imageAsks || Object.keys(annotations).some(asks)) return "vm";
  return unannotated === "vm" ? "vm" : "engine";
}
