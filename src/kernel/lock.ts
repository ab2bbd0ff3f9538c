import { rmSync } from "node:fs";
import { UruncError } from "../errors.ts";
import { throwIfInterrupted } from "./step.ts";
import { TOOL_PATH } from "./tools.ts";

/**
 * Holds a lock of flock(2) in a process that lives as long as its standard input is open: whatever ends us, kill -9
 * too, closes that and frees the lock. The file is made anew if the holder before removed it.
 */
const HOLDER = `
until [ "$1" -ef /proc/self/fd/9 ]; do
  exec 9>"$1" || exit
  flock -n 9 || { echo waiting; flock 9; }
done
echo locked
exec cat >/dev/null
`;

/** A lock that is held; `release` removes its file too. */
export interface Lock {
  release(): Promise<void>;
}

/**
 * Takes the lock of a file.
 *
 * @param onWaiting called when another holds it
 * @throws UruncError `kernel-build` if the file cannot be made, or when interrupted
 */
export async function lock(
  path: string,
  onWaiting: () => void,
  signal?: AbortSignal | undefined,
): Promise<Lock> {
  throwIfInterrupted(signal);
  const child = Bun.spawn(["sh", "-c", HOLDER, "lock", path], {
    env: { PATH: TOOL_PATH, LC_ALL: "C" },
    stdin: "pipe",
    stdout: "pipe",
    stderr: "pipe",
    // A terminal's Ctrl-C must not free the lock while we tidy up.
    detached: true,
  });
  const interrupt = () => process.kill(-child.pid, "SIGTERM");
  signal?.addEventListener("abort", interrupt);
  try {
    if (await isLocked(child.stdout, onWaiting)) return { release: () => release(child, path) };
  } finally {
    signal?.removeEventListener("abort", interrupt);
  }
  throwIfInterrupted(signal);
  const cause = (await new Response(child.stderr).text()).trim();
  throw new UruncError("kernel-build", `cannot lock ${path}: ${cause}`);
}

/** Whether nobody holds the lock of a file that is there. */
export function isFree(path: string): boolean {
  const env = { PATH: TOOL_PATH, LC_ALL: "C" };
  return Bun.spawnSync(["flock", "-n", path, "true"], { env, stderr: "ignore" }).exitCode === 0;
}

async function isLocked(output: ReadableStream<Uint8Array>, onWaiting: () => void): Promise<boolean> {
  let said = "";
  for await (const chunk of output) {
    const text = new TextDecoder().decode(chunk);
    if (!said.includes("waiting\n") && (said + text).includes("waiting\n")) onWaiting();
    said += text;
    if (said.includes("locked\n")) return true;
  }
  return false;
}

async function release(child: Bun.Subprocess<"pipe", "pipe", "pipe">, path: string): Promise<void> {
  // Whoever waits for this file sees that it is gone, and makes another.
  rmSync(path, { force: true });
  child.stdin.end();
  await child.exited;
}
