import { ContainerDirectory } from "../container/directory.ts";
import { podSandboxId } from "../container/pod.ts";
import { checkContainerId } from "../oci/container-id.ts";
import type { Spec } from "../oci/runtime-spec.ts";
import { readSpec } from "./read-spec.ts";

/**
 * A container's specification with its pod's kernel parameters: only the pod's sandbox is asked for them, as its name
 * spaces have them. The container's own prevail.
 *
 * @param root the runtime's state, where the sandbox is if it is one of ours
 * @throws UruncError `bundle-invalid`: the sandbox's specification cannot be read
 */
export function withPodSysctls(spec: Spec, root: string): Spec {
  const id = podSandboxId(spec.annotations);
  const sandbox = id === undefined ? undefined : new ContainerDirectory(root, checkContainerId(id)).read();
  const sysctl = sandbox === undefined ? undefined : readSpec(sandbox.bundle).linux?.sysctl;
  if (sysctl === undefined) return spec;
  return { ...spec, linux: { ...spec.linux, sysctl: { ...sysctl, ...spec.linux?.sysctl } } };
}
