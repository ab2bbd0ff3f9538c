import type { PlannedContainer } from "./containers.ts";
import type { Runtime } from "./runtime.ts";
import { runPiped } from "./streams.ts";

/** How far a container's clock is ahead of the host's, in milliseconds: between the two. */
export interface Ahead {
  readonly least: number;
  readonly most: number;
}

/** A program that tells the time whenever it is asked; run until its input ends. */
export const CLOCK = ["bash", "-c", "while read -r _; do echo $EPOCHREALTIME; done"];
/** The way there and back takes a time, of which the shortest of so many is taken. */
const QUESTIONS = 20;

/** A container of `CLOCK` that runs. */
export interface Clock {
  ahead(): Promise<Ahead>;
  /** Ends it; gives the exit status. */
  end(): Promise<number>;
}

/** Starts a container of `CLOCK`, which runs when its first answer is there. */
export function startClock(runtime: Runtime, container: PlannedContainer): Clock {
  const child = runPiped(runtime, container);
  const answers = child.stdout.getReader();
  const ask = async (): Promise<Ahead> => {
    const before = Date.now();
    child.stdin.write("\n");
    child.stdin.flush();
    const { value } = await answers.read();
    const after = Date.now();
    const there = Number(new TextDecoder().decode(value)) * 1000;
    // Whole milliseconds: each may be up to one more.
    return { least: there - after - 1, most: there - before };
  };
  return {
    async ahead() {
      let best = await ask();
      for (let i = 1; i < QUESTIONS; i++) {
        const one = await ask();
        if (one.most - one.least < best.most - best.least) best = one;
      }
      return best;
    },
    async end() {
      child.stdin.end();
      return await child.exited;
    },
  };
}
