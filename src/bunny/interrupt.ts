import { UruncError } from "../errors.ts";

const SIGNALS = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 } as const;

/**
 * Does work that a signal ends in order, so that nothing is left behind; a second signal ends the process as it would
 * have without.
 *
 * @throws UruncError `build` with the status that a shell expects, once the work has ended for a signal
 */
export async function interruptible<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  const interrupt = (name: keyof typeof SIGNALS) => {
    ignore();
    controller.abort(new UruncError("build", "interrupted", { exitStatus: 128 + SIGNALS[name] }));
  };
  const ignore = () => {
    for (const name of Object.keys(SIGNALS)) process.removeListener(name, interrupt);
  };
  for (const name of Object.keys(SIGNALS)) process.on(name as keyof typeof SIGNALS, interrupt);
  try {
    return await work(controller.signal);
  } finally {
    ignore();
  }
}
