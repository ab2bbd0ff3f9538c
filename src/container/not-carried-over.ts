import { UruncError } from "../errors.ts";
import type { Spec } from "../oci/runtime-spec.ts";

/**
 * Refuses what runtime specifications from 1.1 on can ask, and what neither the engine nor the agent does for a machine:
 * without it the container would run as if it had not been asked.
 *
 * @throws UruncError `not-supported`
 */
export function refuseNotCarriedOver(spec: Spec): void {
  const { process, linux = {}, mounts = [] } = spec;
  const asked: readonly (readonly [string, unknown])[] = [
    ["process.scheduler", process["scheduler"]],
    ["process.ioPriority", process["ioPriority"]],
    ["process.execCPUAffinity", process["execCPUAffinity"]],
    ["linux.personality", isOtherPersonality(linux["personality"])],
    ["linux.timeOffsets", linux["timeOffsets"]],
    ["linux.netDevices", linux["netDevices"]],
    ["linux.memoryPolicy", linux["memoryPolicy"]],
    ...mounts.map((mount) => [`the mapping of owners at ${mount.destination}`, isMapped(mount)] as const),
  ];
  const [name] = asked.find(([, value]) => isGiven(value)) ?? [];
  if (name === undefined) return;
  throw new UruncError(
    "not-supported",
    `${name} cannot be carried over to a virtual machine: leave it away, or run this container with another runtime`,
  );
}

/** runtime-spec, `config.md`, "Mounts": `uidMappings`, `gidMappings`, or the options that map as the container does. */
function isMapped(mount: object): boolean {
  const { uidMappings, gidMappings, options } = mount as Record<string, unknown>;
  const words = Array.isArray(options) ? options : [];
  return isGiven(uidMappings) || isGiven(gidMappings) || words.includes("idmap") || words.includes("ridmap");
}

/** `LINUX` is what the guest has. */
function isOtherPersonality(value: unknown): boolean {
  if (!isGiven(value)) return false;
  const { domain, flags } = value as { domain?: unknown; flags?: unknown };
  return (domain !== undefined && domain !== "LINUX") || isGiven(flags);
}

/** Of Go's encoder what is empty may be there all the same. */
function isGiven(value: unknown): boolean {
  if (value === undefined || value === null || value === false || value === "") return false;
  return typeof value !== "object" || Object.keys(value).length > 0;
}
