import type { Config } from "../config/config.ts";
import { ordinaryUser } from "../container/rootless.ts";
import { accelerationFindings } from "./acceleration.ts";
import { cgroupFindings } from "./cgroups.ts";
import { engineFindings } from "./engine.ts";
import { fileFindings } from "./files.ts";
import type { Group } from "./finding.ts";
import { guestFileFindings } from "./guest-files.ts";
import { monitorFindings } from "./monitors.ts";
import { networkFindings } from "./network.ts";
import { userNamespaceFindings } from "./user-namespaces.ts";

/** Looks at all of this host that machines need. */
export async function examineHost(config: Config, warnings: readonly string[]): Promise<Group[]> {
  const caller = ordinaryUser() === undefined ? "root" : "user";
  return [
    accelerationFindings(config.acceleration),
    monitorFindings(config, caller),
    guestFileFindings(config.share),
    fileFindings(config, caller),
    networkFindings(caller),
    cgroupFindings(caller),
    await engineFindings(config.engine),
    userNamespaceFindings(caller),
    ...configurationFindings(warnings),
  ];
}

function configurationFindings(warnings: readonly string[]): Group[] {
  if (warnings.length === 0) return [];
  const findings = warnings.map((found) => ({ what: "file", state: "less" as const, found }));
  return [{ name: "Configuration", findings }];
}
