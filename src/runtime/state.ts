import { ContainerDirectory, type ContainerRecord } from "../container/directory.ts";
import { containerRootfs } from "../container/root-directory.ts";
import type { Context } from "./context.ts";
import { onlyId } from "./create.ts";
import { Engine, parseEngineJson } from "./engine.ts";
import { type FlagSpecs, parseFlags } from "./flags.ts";

/** A container as the engine describes it: runtime-spec `runtime.md`, "State", with runc's additions. */
export interface EngineState {
  id: string;
  pid: number;
  status: string;
  bundle: string;
  rootfs?: string;
  created?: string;
  owner?: string;
  annotations?: Record<string, string>;
  [key: string]: unknown;
}

export const STATE_FLAGS: FlagSpecs = {};

/** `urunc state`: the engine's, with the caller's bundle in the place of the sandbox's. */
export function state(context: Context, words: readonly string[]): number {
  const id = onlyId(parseFlags(words, STATE_FLAGS, "urunc state"), "state");
  const engine: Engine = new Engine(context);
  const record = new ContainerDirectory(context.root, id).read();
  if (record?.kind !== "vm") engine.become(["state", id]);
  const { status, stdout } = engine.read(["state", id]);
  if (status !== 0) return status;
  process.stdout.write(
    JSON.stringify(asCallerKnowsIt(parseEngineJson(stdout) as EngineState, record), null, 2),
  );
  return 0;
}

/** The engine's description with what the caller gave to `create`. */
export function asCallerKnowsIt(described: EngineState, record: ContainerRecord): EngineState {
  if (record.kind !== "vm") return described;
  const caller: EngineState = { ...described, bundle: record.bundle };
  if (described.rootfs !== undefined) {
    caller.rootfs = callerRootfs(record.bundle, record.spec.root.path);
  }
  return caller;
}

function callerRootfs(bundle: string, path: string): string {
  try {
    return containerRootfs(bundle, path);
  } catch {
    return path;
  }
}
