import { join } from "node:path";
import { type CommandResult, command } from "./command.ts";
import type { Containerd } from "./containerd.ts";
import { containerdSocket } from "./docker-layout.ts";
import type { NewerProgram } from "./newer-clients.ts";

/** Runs `nerdctl WORDS` against a private containerd, with all that it keeps below the same directory. */
export function runNerdctl(
  program: NewerProgram | undefined,
  { layout, namespace, inNetwork }: Containerd,
  words: readonly string[],
): Promise<CommandResult> {
  if (program === undefined) throw new Error("nerdctl is not on this machine: skip what needs it");
  const flags = [
    ...["--address", containerdSocket(layout), "--namespace", namespace],
    ...["--data-root", join(layout.directory, "nerdctl"), "--cgroup-manager", "cgroupfs"],
    ...["--cni-path", "/usr/lib/cni", "--cni-netconfpath", join(layout.directory, "cni")],
  ];
  return command(inNetwork([program.path, ...flags, ...words]));
}

/** Standard output of what must succeed, without the last newline. */
export function outputOf(what: string, { stdout, stderr, exitCode }: CommandResult): string {
  if (exitCode !== 0) throw new Error(`${what}: exit ${exitCode}\n${stdout}${stderr}`);
  return stdout.replace(/\n$/, "");
}
