import { readFileSync } from "node:fs";
import type { Caller, Finding, Group } from "./finding.ts";

/** The kernel's switches, as their files say; undefined: this kernel has no such switch. */
export interface UserNamespaceFacts {
  /** `user.max_user_namespaces` */
  most: string | undefined;
  /** `kernel.unprivileged_userns_clone`, of Debian's kernels */
  unprivileged: string | undefined;
  /** `kernel.apparmor_restrict_unprivileged_userns`, of Ubuntu's */
  restricted: string | undefined;
}

export function userNamespaceFindings(caller: Caller): Group {
  const facts = {
    most: read("user/max_user_namespaces"),
    unprivileged: read("kernel/unprivileged_userns_clone"),
    restricted: read("kernel/apparmor_restrict_unprivileged_userns"),
  };
  return { name: "Without root", findings: [judgeUserNamespaces(facts, caller)] };
}

export function judgeUserNamespaces(
  { most, unprivileged, restricted }: UserNamespaceFacts,
  caller: Caller,
): Finding {
  const what = "user namespaces";
  const lacking = (found: string, remedy?: string): Finding => ({
    what,
    state: caller === "user" ? "not" : "less",
    found: `${found}: only root can run machines`,
    ...(remedy === undefined ? {} : { remedy }),
  });
  if (most === undefined)
    return lacking("the kernel has none", "start a kernel with CONFIG_USER_NS, as Debian's has");
  if (most === "0")
    return lacking("user.max_user_namespaces is 0", "sysctl -w user.max_user_namespaces=10000");
  if (unprivileged === "0") {
    return lacking("kernel.unprivileged_userns_clone is 0", "sysctl -w kernel.unprivileged_userns_clone=1");
  }
  if (restricted === "1") {
    return lacking(
      "kernel.apparmor_restrict_unprivileged_userns is 1",
      "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
    );
  }
  return { what, state: "ok", found: "every user may make them" };
}

function read(name: string): string | undefined {
  try {
    return readFileSync(`/proc/sys/${name}`, "utf8").trim();
  } catch {
    return undefined;
  }
}
