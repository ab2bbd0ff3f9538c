import { until } from "./command.ts";

/** Milliseconds for a text to be seen. */
const PATIENCE = 30_000;

/** A program on a terminal of its own, and who sits before it. */
export interface Screen {
  /** All that has been written to the terminal. */
  text(): string;
  type(text: string): void;
  /** Waits for a text behind that of the last call; gives what came up to it. */
  see(what: string | RegExp): Promise<string>;
  resize(rows: number, columns: number): void;
  /** The program's exit status. */
  readonly exited: Promise<number>;
  kill(): void;
}

/** Runs a program on a new terminal. */
export function openScreen(argv: readonly string[], size = { rows: 24, columns: 80 }): Screen {
  let text = "";
  let seen = 0;
  const decoder = new TextDecoder();
  const child = Bun.spawn([...argv], {
    terminal: {
      rows: size.rows,
      cols: size.columns,
      data(_, bytes) {
        text += decoder.decode(bytes, { stream: true });
      },
    },
  });
  const { terminal } = child;
  if (terminal === undefined) throw new Error("no terminal");
  return {
    text: () => text,
    type: (typed) => void terminal.write(typed),
    async see(what) {
      const found = await until(
        `${what} is to be seen`,
        () => {
          const rest = text.slice(seen);
          const match = typeof what === "string" ? rest.indexOf(what) : (what.exec(rest)?.index ?? -1);
          if (match < 0) return undefined;
          const length = typeof what === "string" ? what.length : (what.exec(rest)?.[0].length ?? 0);
          return rest.slice(0, match + length);
        },
        PATIENCE,
      ).catch((cause: unknown) => {
        throw new Error(`${what} was not to be seen: ${JSON.stringify(text.slice(seen))}`, { cause });
      });
      seen += found.length;
      return found;
    },
    resize: (rows, columns) => terminal.resize(columns, rows),
    exited: child.exited,
    kill: () => child.kill("SIGKILL"),
  };
}
