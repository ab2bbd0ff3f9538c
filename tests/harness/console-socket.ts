import { existsSync } from "node:fs";
import { join } from "node:path";
import { succeed, until } from "./command.ts";

const SOURCE = join(import.meta.dir, "console-socket.c");

/** A caller's end of `--console-socket`. */
export interface Console {
  /** The value of the flag. */
  readonly socket: string;
  /** What has been written to the terminal by now. */
  text(): string;
  type(text: string): void;
  /** Resolves when nobody has the terminal open any more. */
  readonly ended: Promise<void>;
  kill(): void;
}

/**
 * Listens for a terminal.
 *
 * @param directory for the socket and the program, whose path must be short
 * @param size 0: as it comes
 */
export async function listenForConsole(directory: string, name: string, size = { rows: 0, columns: 0 }) {
  const program = join(directory, "console-socket");
  if (!existsSync(program)) await succeed(["musl-gcc", "-static", "-O2", SOURCE, "-o", program]);
  const socket = join(directory, `${name}.sock`);
  const child = Bun.spawn([program, socket, String(size.rows), String(size.columns)], {
    stdin: "pipe",
    stdout: "pipe",
    stderr: "inherit",
  });
  let text = "";
  const decoder = new TextDecoder();
  const read = (async () => {
    for await (const part of child.stdout) text += decoder.decode(part, { stream: true });
    await child.exited;
  })();
  await until("the console's socket", () => existsSync(socket));
  const console: Console = {
    socket,
    text: () => text,
    type(typed) {
      child.stdin.write(typed);
      child.stdin.flush();
    },
    ended: read,
    kill: () => child.kill("SIGKILL"),
  };
  return console;
}
