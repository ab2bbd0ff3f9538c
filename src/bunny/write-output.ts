import { writeSync } from "node:fs";

/** Writes to the command's standard output or standard error; where nobody reads any more, the command ends. */
export function writeOutput(stream: "stdout" | "stderr", bytes: Buffer): void {
  const descriptor = stream === "stdout" ? 1 : 2;
  for (let done = 0; done < bytes.length; ) {
    try {
      done += writeSync(descriptor, bytes, done);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === "EPIPE") process.exit(0);
      if (code !== "EAGAIN") throw error;
      Bun.sleepSync(1);
    }
  }
}
