import { UruncError } from "../errors.ts";
import { findMachine } from "../machines/catalog.ts";
import { linesOf, type OutputLine, readOutput } from "../machines/output.ts";
import { parseMachineCommand, sweptPlaces } from "./machine-command.ts";
import { writeOutput } from "./write-output.ts";

const HELP = `bunny logs - shows what a machine in the background has written

Usage: bunny logs [flags] MACHINE

Its standard output and standard error go to the command's.

Flags:
  -f, --follow             go on until it has ended
  -n, --tail NUMBER        the last lines alone (default: all)
  -t, --timestamps         when each line came
      --help               show help
`;

/** `bunny logs`. */
export async function logs(words: readonly string[]): Promise<number> {
  const parsed = parseMachineCommand(words, "bunny logs", HELP, {
    follow: { kind: "boolean", short: "f" },
    tail: { kind: "string", short: "n" },
    timestamps: { kind: "boolean", short: "t" },
  });
  if (parsed === undefined) return 0;
  const { booleans, strings, rest } = parsed;
  if (rest.length !== 1)
    throw new UruncError("usage", 'bunny logs requires exactly 1 argument: see "bunny logs --help"');
  const tail = tailOf(strings["tail"] ?? "all");
  const machine = findMachine(await sweptPlaces(), rest[0] as string);
  if (!machine.record.detached) {
    throw new UruncError(
      "state",
      `${rest[0]} runs in the foreground: what it writes goes to its caller and is not kept`,
    );
  }
  const isOver = () => machine.state().kind !== "running";
  const follow = booleans["follow"] === true;
  const stamped = booleans["timestamps"] === true;
  if (tail === undefined && !stamped) {
    // As it came: the part of a line too.
    for await (const record of readOutput(machine.path, follow, isOver)) writeLine(record, false);
    return 0;
  }
  let last: OutputLine[] | undefined = tail === undefined ? undefined : [];
  const flush = () => {
    for (const line of last ?? []) writeLine(line, stamped);
    last = undefined;
  };
  // Of a machine that runs the last lines come at once, and those that follow when they are whole.
  const records = readOutput(machine.path, follow, isOver, follow ? flush : undefined);
  for await (const line of linesOf(records)) {
    if (last === undefined) writeLine(line, stamped);
    else {
      last.push(line);
      if (last.length > (tail ?? 0)) last.shift();
    }
  }
  flush();
  return 0;
}

function tailOf(text: string): number | undefined {
  if (text === "all") return undefined;
  if (/^[0-9]{1,9}$/.test(text)) return Number(text);
  throw new UruncError(
    "usage",
    `invalid argument ${JSON.stringify(text)} for "-n, --tail" flag: a number or "all"`,
  );
}

function writeLine({ stream, bytes, time }: OutputLine, stamped: boolean): void {
  const stamp = stamped ? Buffer.from(`${rfc3339(time)} `) : Buffer.alloc(0);
  writeOutput(stream, Buffer.concat([stamp, bytes]));
}

/** With all nine digits, which a Date does not have. */
function rfc3339(time: string): string {
  const [seconds = "0", nanoseconds = "0"] = time.split(".");
  return `${new Date(Number(seconds) * 1000).toISOString().slice(0, 19)}.${nanoseconds}Z`;
}
