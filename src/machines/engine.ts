import { readFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { loadConfig } from "../config/load.ts";
import { ContainerDirectory } from "../container/directory.ts";
import type { Context } from "../runtime/context.ts";
import { discard } from "../runtime/discard.ts";
import { Engine } from "../runtime/engine.ts";
import { removeLeftCgroups } from "../runtime/left-cgroups.ts";
import { Log } from "../runtime/log.ts";
import { endUnfinishedCreate } from "../runtime/unfinished-create.ts";
import type { Places } from "./places.ts";

/** The runtime as machines use it: in this process, with a root of its own. */
export function runtimeContext(places: Places): Context {
  const { config, warnings } = loadConfig(process.env);
  return {
    root: places.runtime,
    config,
    configWarnings: warnings,
    // What is slow or fast is no news to who runs an image.
    log: new Log("/dev/null", "text", false),
    engineFlags: [],
  };
}

/** Sends a signal to a machine's first process; false: it does not run. */
export function signalMachine(places: Places, id: string, signal: number): boolean {
  const engine = new Engine(runtimeContext(places));
  return engine.read(["kill", id, String(signal)], true).status === 0;
}

/** What `urunc delete --force` does, of what may be there or not. */
export async function deleteFromRuntime(places: Places, id: string): Promise<void> {
  const context = runtimeContext(places);
  const directory = new ContainerDirectory(context.root, id);
  if (!directory.exists()) return;
  const engine = new Engine(context);
  await endUnfinishedCreate(directory);
  engine.read(["delete", "--force", id], true);
  const record = directory.read();
  if (record?.kind === "vm" && !directory.isCreated())
    await removeLeftCgroups(record.spec.linux?.cgroupsPath);
  await discard(directory, context.log);
}

/** The executable under another of its names: its path, and what it is called by. */
export function ownProgram(name: "urunc" | "bunny"): [path: string, name: string] {
  const path = process.execPath;
  return [path, basename(path) === name ? path : join(dirname(path), name)];
}

/** The last thing that the runtime said in its log, without its client's frame around it. */
export function lastWord(runtimeLog: string): string | undefined {
  let text: string;
  try {
    text = readFileSync(runtimeLog, "utf8");
  } catch {
    return undefined;
  }
  return text
    .trimEnd()
    .split("\n")
    .flatMap((line) => {
      try {
        const { level, msg } = JSON.parse(line) as { level?: unknown; msg?: unknown };
        return level === "error" && typeof msg === "string" ? [msg] : [];
      } catch {
        return [];
      }
    })
    .at(-1);
}

/**
 * The status of a `run` or `exec` whose application could not be started, told by the runtime's sentence as Docker tells
 * it: 127 it is not there, 126 it cannot be run, else `otherwise`.
 */
export function statusOfSentence(sentence: string, otherwise: number): number {
  if (!sentence.includes("exec:") && !sentence.includes("exec ")) return otherwise;
  if (/executable file not found|no such file or directory/.test(sentence)) return 127;
  if (/permission denied|is a directory|exec format error/.test(sentence)) return 126;
  return otherwise;
}
