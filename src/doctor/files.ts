import { UruncError } from "../errors.ts";
import { type FileServer, findFileServer, shareWay } from "../monitor/file-server.ts";
import type { Caller, Finding, Group } from "./finding.ts";
import { outputOf, versionIn } from "./program.ts";

/** What is known of how files can be shared. */
export interface ShareFacts {
  server: FileServer | undefined;
  version?: string | undefined;
  wanted: "virtiofs" | "9p" | undefined;
  caller: Caller;
}

/** How a container's files reach the guest. */
export function fileFindings(
  { virtiofsd, qemu }: { virtiofsd?: string; qemu: { share?: "virtiofs" | "9p" } },
  caller: Caller,
): Group {
  const name = "Files";
  try {
    const server = findFileServer(virtiofsd);
    const version = server && versionIn(outputOf(server.program, "--version"));
    return { name, findings: [judgeShare({ server, version, wanted: qemu.share, caller })] };
  } catch (error) {
    if (!(error instanceof UruncError)) throw error;
    return { name, findings: [{ what: "virtiofsd", state: "not", found: error.message, remedy: INSTALL }] };
  }
}

const INSTALL =
  "apt-get install virtiofsd (on Debian 12: qemu-system-common), or mend extra_binaries.virtiofsd.path";
const LOSS = "9p, without FIFOs, sockets, device nodes and file capabilities";

/** @throws UruncError `monitor-missing`: virtiofs is wanted, and cannot be had */
export function judgeShare({ server, version, wanted, caller }: ShareFacts): Finding {
  const what = "virtiofsd";
  const kinds = { qemu: "QEMU's own, in C", rust: "the one in Rust" } as const;
  const found = server && `${server.program}, ${kinds[server.dialect]}, version ${version ?? "unknown"}`;
  if (caller === "user") {
    return { what, state: "ok", found: `not used: without root volumes are shared by ${LOSS}` };
  }
  const way = shareWay({ wanted, server });
  if (way.kind === "virtiofs") return { what, state: "ok", found: found as string };
  if (found !== undefined)
    return {
      what,
      state: "less",
      found: `${found}; ${way.reason}: ${LOSS}`,
      remedy: "set monitors.qemu.share to virtiofs",
    };
  return { what, state: "less", found: `not installed: files are shared by ${LOSS}`, remedy: INSTALL };
}
