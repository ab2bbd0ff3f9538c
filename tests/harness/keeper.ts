import { join } from "node:path";
import type { DockerLayout } from "./docker-layout.ts";

/**
 * What is killed by SIGKILL and started again: a daemon; `all`, which is daemons, shims and all that is in containers'
 * control groups; or that and all that lives no longer than the host's boot, as when the host loses its power.
 */
export type KeeperCommand = "kill containerd" | "kill dockerd" | "kill all" | "reboot";

/** The process that keeps private daemons. */
export interface Keeper {
  carryOut(command: KeeperCommand): Promise<void>;
  /** Ends all containers and daemons and removes everything; throws when something could not be removed. */
  stop(): Promise<void>;
}

/** Starts the daemons of a layout and waits until they answer. They end with this process, however it ends. */
export async function startKeeper(layout: DockerLayout): Promise<Keeper> {
  // Its own session: an interrupt typed at the terminal reaches us, not the daemons; they end in order.
  const child = Bun.spawn(
    ["setsid", "--wait", process.execPath, join(import.meta.dir, "docker-keeper.ts"), JSON.stringify(layout)],
    { stdin: "pipe", stdout: "pipe", stderr: "pipe" },
  );
  const complaint = new Response(child.stderr).text();
  const reader = child.stdout.getReader();
  const ready = async () => {
    const { done, value } = await reader.read();
    if (!done && new TextDecoder().decode(value).trim() === "ready") return;
    throw new Error(`private daemons did not start: ${await complaint}`);
  };
  await ready();

  let stopped: Promise<void> | undefined;
  return {
    async carryOut(command) {
      child.stdin.write(`${command}\n`);
      child.stdin.flush();
      await ready();
    },
    stop() {
      stopped ??= (async () => {
        child.stdin.end();
        const exitCode = await child.exited;
        if (exitCode !== 0) throw new Error(`private daemons did not end cleanly: ${await complaint}`);
      })();
      return stopped;
    },
  };
}
