import { constants } from "node:os";
import { signalMachine } from "./engine.ts";
import type { Machine } from "./machine.ts";
import { type OutputRecord, readOutput } from "./output.ts";
import type { Places } from "./places.ts";
import { holdInterest, waitForEnd } from "./waiting.ts";

/** What ends a command, or asks it for something, is for the machine whose output it shows. */
const PASSED = ["SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM", "SIGUSR1", "SIGUSR2", "SIGCONT"] as const;

export interface FollowOptions {
  /** Whether signals to this process go to the machine. */
  signals: boolean;
  /** Takes what it writes. */
  write(record: OutputRecord): void;
  /** Called once nothing that is written is missed any more: starts the machine (default: it runs). */
  begin?(): Promise<void>;
}

/**
 * Shows what a machine in the background writes from now on, until it has ended.
 *
 * @returns the application's status
 * @throws what `begin` throws
 */
export async function followMachine(
  places: Places,
  machine: Machine,
  { signals, write, begin = async () => {} }: FollowOptions,
): Promise<number> {
  let begun: Promise<void> | undefined;
  let runs = false;
  const start = async () => {
    await begin();
    runs = true;
  };
  const pass = (name: NodeJS.Signals) =>
    void signalMachine(places, machine.id, constants.signals[name] as number);
  if (signals) for (const name of PASSED) process.on(name, pass);
  // One that is removed at its end has its status until that was read.
  const interest = holdInterest(machine);
  try {
    const isOver = () => runs && machine.state().kind !== "running";
    const caughtUp = () => {
      begun = start();
      // It is waited for below.
      begun.catch(() => {
        runs = true;
      });
    };
    for await (const record of readOutput(machine.path, true, isOver, caughtUp)) {
      if (begun !== undefined) write(record);
    }
    await begun;
    return (await waitForEnd(machine))?.status ?? 0;
  } finally {
    interest.release();
    if (signals) for (const name of PASSED) process.off(name, pass);
  }
}
