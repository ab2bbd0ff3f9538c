import { UruncError } from "../errors.ts";
import { CONFIG_FLAGS, config } from "./config.ts";
import { CONNECT_FLAGS, connect } from "./connect.ts";
import type { Context } from "./context.ts";
import { CREATE_FLAGS, create } from "./create.ts";
import { DELETE_FLAGS, remove } from "./delete.ts";
import { DOCTOR_FLAGS, doctor } from "./doctor.ts";
import { Engine } from "./engine.ts";
import { EVENTS_FLAGS, events } from "./events.ts";
import { EXEC_FLAGS, exec } from "./exec.ts";
import { FEATURES_FLAGS, features } from "./features.ts";
import type { FlagSpecs } from "./flags.ts";
import { KILL_FLAGS, kill } from "./kill.ts";
import { LIST_FLAGS, list } from "./list.ts";
import { NODE_FLAGS, node } from "./node.ts";
import { PS_FLAGS, ps } from "./ps.ts";
import { RUN_FLAGS, run } from "./run.ts";
import { START_FLAGS, start } from "./start.ts";
import { STATE_FLAGS, state } from "./state.ts";
import { UPDATE_FLAGS, update } from "./update.ts";

/** A verb of the command line: one that the runtime does itself, one that the engine does, one that nobody does. */
export type Verb = { help: string } & (
  | {
      kind: "own";
      usage: string;
      flags: FlagSpecs;
      run: (context: Context, words: readonly string[]) => unknown;
    }
  | { kind: "engine" }
  | { kind: "not-supported"; instead: string }
);

const HIDDEN = ["connect-network"];

/** runc's verbs and ours, by their names. */
export const VERBS: Record<string, Verb> = {
  checkpoint: notSupported("checkpoint a running container", "stop the container and start it again"),
  config: own(
    "show the effective configuration, and where each value comes from",
    "[--bundle DIRECTORY]",
    CONFIG_FLAGS,
    config,
  ),
  create: own("create a container", "[flags] ID", CREATE_FLAGS, create),
  delete: own("delete any resources held by the container", "[--force] ID", DELETE_FLAGS, remove),
  doctor: own("say what this host can do, and what to install", "[--json]", DOCTOR_FLAGS, doctor),
  events: own("display container events and statistics", "[flags] ID", EVENTS_FLAGS, events),
  exec: own("execute a new process inside the container", "[flags] ID COMMAND [ARGUMENT…]", EXEC_FLAGS, exec),
  features: own("show the enabled features", "", FEATURES_FLAGS, features),
  kill: own(
    "send a signal to the container's process (default: SIGTERM)",
    "[--all] ID [SIGNAL]",
    KILL_FLAGS,
    kill,
  ),
  list: own("list containers with the given root", "[flags]", LIST_FLAGS, list),
  node: own(
    "make this machine a node of Kubernetes with the runtime handler urunc, or undo that",
    "install|remove [flags]",
    NODE_FLAGS,
    node,
  ),
  pause: { kind: "engine", help: "suspend the virtual machine" },
  ps: own("display the processes inside a container", "[flags] ID [PS OPTIONS]", PS_FLAGS, ps),
  restore: notSupported("restore a container from a checkpoint", "create and start the container"),
  resume: { kind: "engine", help: "resume a virtual machine that was paused" },
  run: own("create and run a container", "[flags] ID", RUN_FLAGS, run),
  spec: { kind: "engine", help: "create a new specification file" },
  start: own("start the program in a created container", "ID", START_FLAGS, start),
  state: own("output the state of a container", "ID", STATE_FLAGS, state),
  update: own("update container resource constraints", "[flags] ID", UPDATE_FLAGS, update),
  "connect-network": own("", "ID", CONNECT_FLAGS, connect),
};

function own(
  help: string,
  usage: string,
  flags: FlagSpecs,
  run: Extract<Verb, { kind: "own" }>["run"],
): Verb {
  return { kind: "own", help, usage, flags, run };
}

function notSupported(help: string, instead: string): Verb {
  return { kind: "not-supported", help, instead };
}

/**
 * Does a verb.
 *
 * @returns the exit status
 * @throws UruncError `usage`, `not-supported` and the verb's own
 */
export async function runVerb(context: Context, name: string, words: readonly string[]): Promise<number> {
  const verb = Object.hasOwn(VERBS, name) ? VERBS[name] : undefined;
  if (verb === undefined)
    throw new UruncError("usage", `urunc has no command ${JSON.stringify(name)}: see "urunc --help"`);
  switch (verb.kind) {
    case "own":
      return (await verb.run(context, words)) as number;
    case "engine": {
      const engine: Engine = new Engine(context);
      return engine.become([name, ...words]);
    }
    case "not-supported":
      throw new UruncError(
        "not-supported",
        `urunc ${name} is not supported yet for virtual machines: ${verb.instead}`,
      );
  }
}

/** The help of the whole command line. */
export function generalHelp(globalFlags: FlagSpecs): string {
  const verbs = Object.entries(VERBS).filter(([name]) => !HIDDEN.includes(name));
  return [
    "urunc - an OCI runtime that runs containers as virtual machines",
    "",
    "Usage: urunc [global flags] COMMAND [flags] [arguments]",
    "",
    "Commands:",
    ...verbs.map(([name, { kind, help }]) =>
      row(name, kind === "not-supported" ? `${help} (not supported yet)` : help),
    ),
    "",
    "Global flags:",
    ...flagRows(globalFlags),
    "",
  ].join("\n");
}

/** The help of one verb, or undefined for one whose help is the engine's. */
export function verbHelp(name: string): string | undefined {
  const verb = Object.hasOwn(VERBS, name) ? VERBS[name] : undefined;
  if (verb?.kind !== "own") return undefined;
  const rows = flagRows(verb.flags);
  return [
    `urunc ${name} - ${verb.help}`,
    "",
    `Usage: urunc ${name} ${verb.usage}`.trimEnd(),
    ...(rows.length > 0 ? ["", "Flags:", ...rows] : []),
    "",
  ].join("\n");
}

function flagRows(flags: FlagSpecs): string[] {
  return Object.entries(flags).map(([name, { kind, short, help }]) =>
    row(`${short === undefined ? "" : `-${short}, `}--${name}${kind === "boolean" ? "" : " VALUE"}`, help),
  );
}

function row(left: string, right: string): string {
  return `  ${left.padEnd(24)} ${right}`;
}
