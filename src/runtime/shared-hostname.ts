import { spawnSync } from "node:child_process";
import { hostname } from "node:os";
import { UruncError } from "../errors.ts";
import type { Spec } from "../oci/runtime-spec.ts";

/**
 * The host name that a container has without one of its own: that of the UTS name space that it is to join, as in a pod,
 * or the host's.
 *
 * @throws UruncError `bundle-invalid`: that name space is not there
 */
export function sharedHostname(spec: Pick<Spec, "linux">): string {
  const path = spec.linux?.namespaces?.find(({ type }) => type === "uts")?.path;
  if (path === undefined) return hostname();
  const { status, stdout, stderr } = spawnSync("nsenter", [`--uts=${path}`, "uname", "-n"], {
    encoding: "utf8",
  });
  if (status === 0) return stdout.trimEnd();
  throw new UruncError("bundle-invalid", `the UTS name space ${path} cannot be entered: ${stderr?.trim()}`);
}
