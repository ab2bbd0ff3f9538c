import { UruncError } from "../errors.ts";
import { findUser } from "../image/accounts.ts";
import { closeStandardInput } from "../machines/attached.ts";
import { findMachine } from "../machines/catalog.ts";
import { runtimeContext, statusOfSentence } from "../machines/engine.ts";
import { absolute, readVariable } from "../machines/request.ts";
import { parseWords, type WordSpecs } from "../machines/words.ts";
import { exec as execInRuntime } from "../runtime/exec.ts";
import { sweptPlaces } from "./machine-command.ts";

const HELP = `bunny exec - runs a further command in a machine

Usage: bunny exec [flags] MACHINE COMMAND [ARGUMENT...]

Flags:
  -d, --detach             do not wait for its end
  -i, --interactive        give it standard input
  -t, --tty                give it a terminal
  -e, --env NAME=VALUE     a further variable
  -w, --workdir DIRECTORY
  -u, --user USER[:GROUP]
      --help               show help
`;

const WORDS: WordSpecs = {
  detach: { kind: "boolean", short: "d" },
  interactive: { kind: "boolean", short: "i" },
  tty: { kind: "boolean", short: "t" },
  env: { kind: "strings", short: "e" },
  workdir: { kind: "string", short: "w" },
  user: { kind: "string", short: "u" },
  help: { kind: "boolean" },
};

const EXEC_FAILED = 1;

/** `bunny exec`. */
export async function exec(words: readonly string[]): Promise<number> {
  const { booleans, strings, lists, rest } = parseWords(words, WORDS, "bunny exec");
  if (booleans["help"]) {
    process.stdout.write(HELP);
    return 0;
  }
  const [name, ...command] = rest;
  if (name === undefined || command.length === 0) {
    throw new UruncError("usage", 'bunny exec requires at least 2 arguments: see "bunny exec --help"');
  }
  if (booleans["tty"] && !booleans["detach"] && !process.stdin.isTTY) {
    throw new UruncError("usage", "the input device is not a TTY");
  }
  const places = await sweptPlaces();
  const machine = findMachine(places, name);
  if (machine.state().kind !== "running") {
    throw new UruncError("state", `Container ${machine.id} is not running`);
  }
  const passed = (lists["env"] ?? []).flatMap((text) => ["--env", withValue(text)]);
  if (booleans["tty"]) passed.push("--tty", "--env", "TERM=xterm");
  if (booleans["detach"]) passed.push("--detach");
  if (strings["workdir"] !== undefined)
    passed.push("--cwd", absolute("working directory", strings["workdir"]));
  if (strings["user"] !== undefined) passed.push(...userWords(strings["user"], machine.record.accounts));
  if (!booleans["interactive"] && !booleans["tty"]) closeStandardInput();
  try {
    return await execInRuntime(runtimeContext(places), [...passed, machine.id, ...command]);
  } catch (error) {
    if (!(error instanceof UruncError)) throw error;
    const exitStatus = statusOfSentence(error.message, EXEC_FAILED);
    throw new UruncError(error.code, error.message, { cause: error, exitStatus });
  }
}

function userWords(text: string, accounts: Parameters<typeof findUser>[1]): string[] {
  const { uid, gid, additionalGids = [] } = findUser(text, accounts);
  return ["--user", `${uid}:${gid}`, ...additionalGids.flatMap((id) => ["--additional-gids", String(id)])];
}

function withValue(text: string): string {
  const variable = readVariable(text, process.env);
  return variable.includes("=") ? variable : `${variable}=`;
}
