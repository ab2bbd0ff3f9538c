import { readdirSync, readFileSync } from "node:fs";
import type { ContainerDirectory } from "../container/directory.ts";

/** How long the engine may take to finish what it is at, in milliseconds, before it is ended. */
const PATIENCE = 10_000;
const INTERVAL = 20;

/**
 * Waits for an engine that still creates the container's sandbox although the `urunc create` that started it is
 * gone: deleting under its hands would leave what it makes afterwards. It is known by its `--pid-file`, which no
 * other process has among its arguments.
 */
export async function endUnfinishedCreate(directory: ContainerDirectory): Promise<void> {
  if (!directory.exists() || directory.isCreated()) return;
  const deadline = Date.now() + PATIENCE;
  for (;;) {
    const engines = processesWithArgument(directory.pidFile);
    if (engines.length === 0) return;
    if (Date.now() > deadline) for (const pid of engines) kill(pid);
    await Bun.sleep(INTERVAL);
  }
}

function processesWithArgument(argument: string): number[] {
  const wanted = Buffer.from(`\0${argument}\0`);
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`).includes(wanted);
      } catch {
        return false;
      }
    })
    .map(Number);
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It has ended by itself.
  }
}
