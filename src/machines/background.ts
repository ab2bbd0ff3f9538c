import { spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { loadConfig } from "../config/load.ts";
import { findShareFiles } from "../config/share.ts";
import { UruncError } from "../errors.ts";
import { RUN_FAILED } from "./attached.ts";
import { lastWord, ownProgram, statusOfSentence } from "./engine.ts";
import type { Machine } from "./machine.ts";
import type { Places } from "./places.ts";
import { holdInterest } from "./waiting.ts";

const KEEPER = "bunny-keeper";

/** The hidden command that a keeper becomes when its machine has ended. */
export const ENDED = "machine-ended";

/**
 * Starts a machine in the background, under a keeper of its own that stays, and waits until its application runs.
 *
 * @param lock the machine's, which the keeper has from now on
 * @throws UruncError with the status that `bunny run` is to end with; the keeper cleans up
 */
export async function startInBackground(places: Places, machine: Machine, lock: number): Promise<void> {
  const { record } = machine;
  const socket = join(places.run, `${machine.id.slice(0, 16)}.sock`);
  const urunc = [...ownProgram("urunc"), "--root", places.runtime];
  const logged = [...urunc, "--log", machine.runtimeLog, "--log-format", "json"];
  const words = [
    ...(record.interactive ? ["--interactive"] : []),
    ...(record.terminal ? ["--terminal", socket] : []),
    machine.path,
    "--",
    ...[...logged, "create", "--bundle", machine.bundle, "--pid-file", machine.pidFile],
    ...(record.terminal ? ["--console-socket", socket] : []),
    machine.id,
    "--",
    ...[...logged, "start", machine.id],
    "--",
    ...[...ownProgram("bunny"), ENDED, machine.id],
  ];
  // What the runtime said of a failure is read before the keeper removes it.
  const interest = holdInterest(machine);
  try {
    await started(machine, startKeeper(words, lock));
  } finally {
    interest.release();
  }
}

function startKeeper(words: string[], lock: number): ReturnType<typeof spawn> {
  const keeper = spawn(join(findShareFiles(loadConfig(process.env).config.share).directory, KEEPER), words, {
    stdio: ["ignore", "ignore", "ignore", "pipe", lock],
    detached: true,
  });
  keeper.unref();
  return keeper;
}

async function started(machine: Machine, keeper: ReturnType<typeof spawn>): Promise<void> {
  const said = await lastLine(keeper);
  if (said === "started") {
    machine.markStarted();
    return;
  }
  const sentence = lastWord(machine.runtimeLog) ?? "the machine could not be started: its keeper is gone";
  throw new UruncError("guest", sentence, { exitStatus: statusOfSentence(sentence, RUN_FAILED) });
}

/** What the keeper said last before it had nothing more to say. */
function lastLine(keeper: ReturnType<typeof spawn>): Promise<string> {
  return new Promise((resolve, reject) => {
    keeper.on("error", (cause) => {
      reject(
        new UruncError("files-missing", `cannot run ${KEEPER}: ${cause.message}: install urunc again`, {
          cause,
        }),
      );
    });
    let last = "";
    const lines = createInterface({ input: keeper.stdio[3] as NodeJS.ReadableStream });
    lines.on("line", (line) => {
      last = line;
    });
    lines.on("close", () => resolve(last));
  });
}
