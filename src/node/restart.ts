import { spawnSync } from "node:child_process";
import { UruncError } from "../errors.ts";

/** What runs a command as the host's own: its first process must be seen, as with the host's process ids. */
const ON_HOST = ["nsenter", "--target=1", "--mount", "--uts", "--ipc", "--net", "--pid", "--"];

/** Has systemd start again those of the units that run. Containers go on meanwhile. */
export function restartCommand(units: readonly string[]): string[] {
  return [...ON_HOST, "systemctl", "try-restart", ...units.map((unit) => `${unit}.service`)];
}

/** @throws UruncError `engine`: it cannot be done from here */
export function restart(units: readonly string[]): void {
  if (units.length === 0) return;
  const [program = "", ...words] = restartCommand(units);
  const { status, stderr, error } = spawnSync(program, words, { encoding: "utf8" });
  if (status === 0) return;
  const why = error?.message ?? stderr.trim();
  throw new UruncError(
    "engine",
    `containerd must read its configuration again, and systemd does not do it (${why}): restart ${units.join(" or ")} by hand`,
  );
}
