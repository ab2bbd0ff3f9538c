/** How a command ended and what it wrote. */
export interface CommandResult {
  readonly stdout: string;
  readonly stderr: string;
  readonly exitCode: number;
}

/** What a command may be given. */
export interface CommandOptions {
  /** What it reads; nothing (end of file at once) when absent. */
  readonly stdin?: string | Uint8Array;
  /** After this many milliseconds it is killed and the promise rejects. */
  readonly timeoutMs?: number;
  readonly cwd?: string;
  readonly env?: Record<string, string>;
}

/** Runs a command to its end; rejects only when it cannot be started or takes too long, never for its exit code. */
export async function command(argv: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
  const timeoutMs = options.timeoutMs ?? 120_000;
  const child = Bun.spawn([...argv], {
    stdin:
      options.stdin === undefined
        ? "ignore"
        : typeof options.stdin === "string"
          ? new TextEncoder().encode(options.stdin)
          : options.stdin,
    stdout: "pipe",
    stderr: "pipe",
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    env: options.env ?? process.env,
  });
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    child.kill("SIGKILL");
  }, timeoutMs);
  try {
    const [stdout, stderr, exitCode] = await Promise.all([
      new Response(child.stdout).text(),
      new Response(child.stderr).text(),
      child.exited,
    ]);
    if (late) throw new Error(`${argv.join(" ")}: still running after ${timeoutMs} ms\n${stdout}${stderr}`);
    return { stdout, stderr, exitCode };
  } finally {
    clearTimeout(timer);
  }
}

/** Runs a command that must succeed; gives its standard output. */
export async function succeed(argv: readonly string[], options: CommandOptions = {}): Promise<string> {
  const result = await command(argv, options);
  if (result.exitCode !== 0) {
    throw new Error(`${argv.join(" ")}: exit ${result.exitCode}\n${result.stdout}${result.stderr}`);
  }
  return result.stdout;
}

/** Asks again until the answer is neither false nor undefined; rejects with `what` after `timeoutMs`. */
export async function until<T>(
  what: string,
  question: () => T | undefined | false | Promise<T | undefined | false>,
  timeoutMs = 60_000,
  intervalMs = 50,
): Promise<T> {
  const end = Date.now() + timeoutMs;
  for (;;) {
    const answer = await question();
    if (answer !== undefined && answer !== false) return answer;
    if (Date.now() > end) throw new Error(`not within ${timeoutMs} ms: ${what}`);
    await Bun.sleep(intervalMs);
  }
}
