import { closeSync, constants, openSync } from "node:fs";
import { findProgram } from "../find-program.ts";
import type { Caller, Finding, Group } from "./finding.ts";

/** What connects machines to networks. */
export interface NetworkFacts {
  /** `/dev/net/tun` opens, or the error's code. */
  tun: "opens" | string;
  /** Paths. */
  programs: Readonly<Record<Program, string | undefined>>;
}

const PACKAGES = { ip: "iproute2", tc: "iproute2", nsenter: "util-linux", setpriv: "util-linux" } as const;
type Program = keyof typeof PACKAGES;

export function networkFindings(caller: Caller): Group {
  const programs = Object.fromEntries(Object.keys(PACKAGES).map((name) => [name, findProgram(name)]));
  return {
    name: "Network",
    findings: judgeNetwork({ tun: openTun(), programs: programs as NetworkFacts["programs"] }, caller),
  };
}

export function judgeNetwork({ tun, programs }: NetworkFacts, caller: Caller): Finding[] {
  // Machines of an ordinary user have the monitor's own network.
  const needed = caller === "root" ? "not" : "ok";
  const device: Finding =
    tun === "opens"
      ? { what: "/dev/net/tun", state: "ok", found: "it opens" }
      : {
          what: "/dev/net/tun",
          state: needed,
          found: `it does not open (${tun})${caller === "root" ? "" : ", and is not needed without root"}`,
          ...(caller === "root" ? { remedy: "load the module: modprobe tun" } : {}),
        };
  const tools = (Object.keys(PACKAGES) as Program[]).map((name): Finding => {
    const path = programs[name];
    if (path !== undefined) return { what: name, state: "ok", found: path };
    return { what: name, state: needed, found: "not installed", remedy: `apt-get install ${PACKAGES[name]}` };
  });
  return [device, ...tools];
}

function openTun(): NetworkFacts["tun"] {
  try {
    closeSync(openSync("/dev/net/tun", constants.O_RDWR));
    return "opens";
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? "unknown error";
  }
}
