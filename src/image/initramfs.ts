import { type CpioEntry, writeCpio } from "./cpio.ts";

/**
 * The guest's first root: its agent as `/init`, and what that needs until it has mounted the rest.
 *
 * @param urunit the agent's program, linked statically
 */
export function buildInitramfs({ urunit }: { urunit: Uint8Array }): Uint8Array {
  return writeCpio([
    directory("dev"),
    // The kernel opens it as the agent's standard streams, before anything can be mounted.
    { type: "character", path: "dev/console", mode: 0o600, major: 5, minor: 1 },
    { type: "character", path: "dev/null", mode: 0o666, major: 1, minor: 3 },
    directory("mnt"),
    directory("proc"),
    directory("run"),
    directory("sys"),
    { type: "file", path: "init", mode: 0o755, data: urunit },
  ]);
}

function directory(path: string): CpioEntry {
  return { type: "directory", path, mode: 0o755 };
}
