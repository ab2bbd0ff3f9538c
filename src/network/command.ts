import { UruncError } from "../errors.ts";

/** Root's tools come from the system's directories before the caller's. */
const TOOL_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

export interface CommandResult {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * Runs a program in the network namespace at `path`: one process, as nsenter becomes the program.
 * Throws UruncError("network") if it cannot be started there at all; its own failure is the result's status.
 */
export async function runInNamespace(
  path: string,
  argv: readonly [string, ...string[]],
  input: string,
): Promise<CommandResult> {
  const searched = `${TOOL_PATH}:${process.env["PATH"] ?? ""}`;
  const nsenter = Bun.which("nsenter", { PATH: searched });
  if (nsenter === null) {
    throw new UruncError("network", "nsenter is not installed; install the package util-linux");
  }
  const child = Bun.spawn([nsenter, `--net=${path}`, ...argv], {
    // Messages are told apart by their text.
    env: { PATH: searched, LC_ALL: "C" },
    stdin: new TextEncoder().encode(input),
    stdout: "pipe",
    stderr: "pipe",
  });
  const [stdout, stderr, status] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  if (status !== 0 && stderr.startsWith("nsenter: ")) throw entryError(path, argv[0], stderr);
  return { status, stdout, stderr };
}

function entryError(path: string, program: string, stderr: string): UruncError {
  const cause = stderr.trim();
  if (cause.includes("failed to execute")) {
    const needed = program.startsWith("iptables") ? "iptables" : "iproute2";
    return new UruncError("network", `${program} is not installed; install the package ${needed}`, { cause });
  }
  return new UruncError("network", `the network namespace ${path} cannot be entered: ${cause}`, { cause });
}
