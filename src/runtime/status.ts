import { type Engine, parseEngineJson } from "./engine.ts";
import type { EngineState } from "./state.ts";

/** What the engine knows of a container: `created`, `running`, `paused`, `stopped`; or nothing, with its exit status. */
export type ContainerStatus =
  | { kind: "known"; status: string; pid: number }
  | { kind: "unknown"; exitStatus: number };

/** Asks the engine, which says itself why it does not know, unless `quiet`. */
export function containerStatus(engine: Engine, id: string, quiet = false): ContainerStatus {
  const answer = engine.read(["state", id], quiet);
  if (answer.status !== 0) return { kind: "unknown", exitStatus: answer.status };
  const { status, pid } = parseEngineJson(answer.stdout) as EngineState;
  return { kind: "known", status, pid };
}
