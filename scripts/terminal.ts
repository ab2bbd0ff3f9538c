/** A line of progress. */
export function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

/** Ends the program with one message. */
export function fail(message: string): never {
  process.stderr.write(`${message}\n`);
  process.exit(1);
}

/** Time since `began` (of `performance.now()`), as `1:05`. */
export function elapsed(began: number): string {
  const seconds = Math.round((performance.now() - began) / 1000);
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}
