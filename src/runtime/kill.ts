import { readFileSync, readlinkSync } from "node:fs";
import { constants } from "node:os";
import { join } from "node:path";
import { ContainerDirectory } from "../container/directory.ts";
import type { Context } from "./context.ts";
import { Engine } from "./engine.ts";
import { type FlagSpecs, parseFlags } from "./flags.ts";
import { hierarchies } from "./left-cgroups.ts";
import { SandboxProcess } from "./sandbox-process.ts";

export const KILL_FLAGS: FlagSpecs = {
  all: { kind: "boolean", short: "a", help: "signal all processes of the container" },
};

const STANDIN = "urunc-standin";

/**
 * `urunc kill` is the engine's, but for `--all`: a signal to all processes of the sandbox would end the monitor before
 * the application could answer. There it goes to each stand-in, and so to the container's first process and to those
 * that were added. SIGKILL is meant for the monitor too.
 */
export function kill(context: Context, words: readonly string[]): number {
  const flags = parseFlags(words, KILL_FLAGS, "urunc kill");
  const [id, signal = "SIGTERM"] = flags.rest;
  const engine: Engine = new Engine(context);
  const number = signalNumber(signal);
  if (
    !flags.booleans["all"] ||
    id === undefined ||
    number === undefined ||
    number === constants.signals.SIGKILL
  )
    engine.become(["kill", ...words]);
  const directory = new ContainerDirectory(context.root, id);
  const first = SandboxProcess.read(directory);
  // The engine knows what to say of a container that does not run.
  if (directory.read()?.kind !== "vm" || !first?.isAlive()) engine.become(["kill", ...words]);
  for (const pid of standinsBeside(first.pid)) {
    try {
      process.kill(pid, number);
    } catch {
      // It has ended meanwhile.
    }
  }
  engine.become(["kill", id, signal]);
}

/** As runc reads it: a number, or a name with or without `SIG`, in any case. Undefined: it knows none. */
function signalNumber(signal: string): number | undefined {
  if (/^\d+$/.test(signal)) return Number(signal);
  const name = signal.toUpperCase();
  const numbers: Partial<Record<string, number>> = constants.signals;
  return numbers[name.startsWith("SIG") ? name : `SIG${name}`];
}

/** The other stand-ins in the process's cgroup. */
function standinsBeside(first: number): number[] {
  const paths = readFileSync(`/proc/${first}/cgroup`, "utf8")
    .split("\n")
    .map((line) => line.split(":").slice(2).join(":"));
  for (const hierarchy of hierarchies(readFileSync("/proc/self/mountinfo", "utf8"))) {
    for (const path of new Set(paths)) {
      const pids = processesOf(join(hierarchy, path));
      if (path !== "" && path !== "/" && pids.includes(first))
        return pids.filter((pid) => pid !== first && isStandin(pid) && inSameSandbox(pid, first));
    }
  }
  return [];
}

/** Without root the cgroup is the caller's own, and may hold other sandboxes. */
function inSameSandbox(one: number, other: number): boolean {
  try {
    return readlinkSync(`/proc/${one}/ns/pid`) === readlinkSync(`/proc/${other}/ns/pid`);
  } catch {
    return false;
  }
}

function processesOf(cgroup: string): number[] {
  try {
    return readFileSync(join(cgroup, "cgroup.procs"), "utf8").split("\n").filter(Boolean).map(Number);
  } catch {
    return [];
  }
}

function isStandin(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/comm`, "utf8").trim() === STANDIN;
  } catch {
    return false;
  }
}
