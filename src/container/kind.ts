import type { Spec } from "../oci/runtime-spec.ts";
import { ROOT_PREFIX } from "../rootfs/given.ts";

/** Annotations by which CRI implementations mark the sandbox (pause) container of a pod. */
const SANDBOX_MARKS: [key: string, value: string][] = [
  ["io.kubernetes.cri.container-type", "sandbox"],
  ["io.kubernetes.cri-o.ContainerType", "sandbox"],
];

/** Annotations with this prefix ask for a guest, whatever they say. */
export const ANNOTATION_PREFIX = "com.urunc.unikernel.";

/**
 * Whether a container becomes a virtual machine, or is the engine's own affair: a pod's sandbox container holds
 * nothing but name spaces; one without annotations is what the configuration says.
 */
export function guestKind(spec: Spec, unannotated: "vm" | "container"): "vm" | "engine" {
  const annotations = spec.annotations ?? {};
  if (SANDBOX_MARKS.some(([key, value]) => annotations[key] === value)) return "engine";
  const asks = (key: string) => key.startsWith(ANNOTATION_PREFIX) || key.startsWith(ROOT_PREFIX);
  if (Object.keys(annotations).some(asks)) return "vm";
  return unannotated === "vm" ? "vm" : "engine";
}
