import { CONFIG_PREFIX } from "../config/annotations.ts";
import type { Spec } from "../oci/runtime-spec.ts";
import { ROOT_PREFIX } from "../rootfs/given.ts";
import { IMAGE_PREFIX } from "../rootfs/wish.ts";
import { isPlainContainer, isPodSandbox, POD_CONTAINERS } from "./pod.ts";

/** What a container becomes, and why: the end of a sentence. */
export interface KindDecision {
  readonly kind: "vm" | "engine";
  readonly reason: string;
}

/** The command of podman's pause container, which holds a pod's name spaces, and has no annotation that would say so. */
const PODMAN_PAUSE = ["/catatonit", "-P"];

/** What is looked at of a specification; of an image that is not run yet there is no process. */
interface Asked extends Pick<Spec, "annotations"> {
  readonly process?: { readonly args: readonly string[] };
}

function isPodmanPause({ annotations = {}, process: { args } = { args: [] } }: Asked): boolean {
  const isPause = args.length === PODMAN_PAUSE.length && PODMAN_PAUSE.every((word, at) => args[at] === word);
  return isPause && annotations["io.container.manager"] === "libpod";
}

/**
 * Whether a container becomes a virtual machine, or is the engine's own affair: a pod's sandbox container holds
 * nothing but name spaces; one that its pod names as a plain container is that; one that asks for a guest, by annotations
 * or because its image does, has one; any other is what the configuration says.
 */
export function guestKind(spec: Asked, unannotated: "vm" | "container", imageAsks = false): KindDecision {
  const annotations = spec.annotations ?? {};
  if (isPodSandbox(annotations) || isPodmanPause(spec)) {
    return { kind: "engine", reason: "it is a pod's sandbox, which holds name spaces only" };
  }
  if (isPlainContainer(annotations)) {
    return { kind: "engine", reason: `the pod's annotation ${POD_CONTAINERS} names it` };
  }
  const asks = (key: string) =>
    [IMAGE_PREFIX, ROOT_PREFIX, CONFIG_PREFIX].some((prefix) => key.startsWith(prefix));
  if (imageAsks) return { kind: "vm", reason: "the image asks for a machine" };
  if (Object.keys(annotations).some(asks)) return { kind: "vm", reason: "its annotations ask for a machine" };
  return {
    kind: unannotated === "vm" ? "vm" : "engine",
    reason: `runtime.unannotated is ${JSON.stringify(unannotated)}, and nothing asks for a machine`,
  };
}
