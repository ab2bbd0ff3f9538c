import { spawnSync } from "node:child_process";

/** Milliseconds for a program to say what it is. */
const PATIENCE = 10_000;

/** What a program prints on standard output; undefined: it fails or is not there. */
export function outputOf(program: string, ...words: string[]): string | undefined {
  const stdio = ["ignore", "pipe", "ignore"] as const;
  const { status, stdout } = spawnSync(program, words, {
    stdio: [...stdio],
    encoding: "utf8",
    timeout: PATIENCE,
    maxBuffer: 1 << 20,
  });
  return status === 0 ? stdout : undefined;
}

/** The first number with dots in a text, as programs print their version. */
export function versionIn(text: string | undefined): string | undefined {
  return /[0-9]+(\.[0-9]+)+/.exec(text ?? "")?.[0];
}
