import { readFileSync, realpathSync } from "node:fs";
import { ContainerDirectory } from "../container/directory.ts";
import { UruncError } from "../errors.ts";
import type { Hook } from "../oci/runtime-spec.ts";
import type { Context } from "./context.ts";
import { onlyId } from "./create.ts";
import { parseEngineJson } from "./engine.ts";
import { type FlagSpecs, parseFlags } from "./flags.ts";
import { prepareLaunch } from "./launch.ts";

export const CONNECT_FLAGS: FlagSpecs = {};

const VERB = "connect-network";

/** Variables by which the caller says where things are; a hook's environment is otherwise empty. */
const HANDED_DOWN = ["PATH", "URUNC_CONFIG_FILE"];

/** The hook by which the engine's `run` lets us do what `start` does before the stand-in runs. */
export function connectHook(context: Context, id: string): Hook {
  return {
    path: realpathSync(process.execPath),
    args: ["urunc", "--root", context.root, VERB, id],
    env: HANDED_DOWN.flatMap((name) => (process.env[name] ? [`${name}=${process.env[name]}`] : [])),
  };
}

/**
 * The hook's end: reads the container's state from standard input (runtime-spec, `config.md`, "POSIX-platform
 * Hooks"), connects the network of that process, and writes the launch document.
 */
export async function connect(context: Context, words: readonly string[]): Promise<number> {
  const id = onlyId(parseFlags(words, CONNECT_FLAGS, `urunc ${VERB}`), VERB);
  const directory = new ContainerDirectory(context.root, id);
  const record = directory.readWhole();
  const { pid } = parseEngineJson(readFileSync(0, "utf8")) as { pid?: unknown };
  if (record?.kind !== "vm" || typeof pid !== "number" || !Number.isSafeInteger(pid) || pid < 2) {
    throw new UruncError("usage", `urunc ${VERB} is a hook of "urunc run": it is not for calling by hand`);
  }
  await prepareLaunch(
    directory,
    record,
    `/proc/${pid}/ns/net`,
    (sentence) => context.log.warning(sentence),
    pid,
  );
  directory.markStarted();
  return 0;
}
