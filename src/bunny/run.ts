import { UruncError } from "../errors.ts";
import type { ImageContents } from "../image/image-contents.ts";
import { closeStandardInput, RUN_FAILED, runAttached } from "../machines/attached.ts";
import { startInBackground } from "../machines/background.ts";
import { makeMachine } from "../machines/make.ts";
import type { Places } from "../machines/places.ts";
import { RUN_WORDS, type RunRequest, readRequest } from "../machines/request.ts";
import type { Root } from "../machines/roots.ts";
import { parseWords } from "../machines/words.ts";
import { openImageRoot } from "./image-root.ts";
import { sweptPlaces } from "./machine-command.ts";

const HELP = `bunny run - runs an image as a virtual machine of its own

Usage: bunny run [flags] IMAGE [COMMAND] [ARGUMENT...]

Needs neither a daemon nor root. The image is pulled if the store does not have it.

Flags, as docker run has them:
  -d, --detach             run in the background, and print the machine's id
  -i, --interactive        keep standard input open
  -t, --tty                give the application a terminal
      --rm                 remove the machine when it has ended
      --name NAME          what it is called (default: made up)
  -e, --env NAME[=VALUE]   a variable; with the name alone, this environment's
      --env-file FILE      a file with such lines
  -w, --workdir DIRECTORY  the working directory
  -u, --user USER[:GROUP]  names of the image or numbers
  -v, --volume SOURCE:DESTINATION[:ro]
                           a directory or file of the host's
      --tmpfs DESTINATION[:OPTIONS]
      --read-only          the root cannot be written to
  -p, --publish [[IP:]HOSTPORT:]PORT[/udp]
                           a port of the host's that leads to one of the machine's
      --network user|none  the monitor's own network (default), or none
  -m, --memory SIZE        the machine's memory: bytes, or with k, m or g
      --cpus NUMBER        how much of the host's processors it may use
  -h, --hostname NAME
      --entrypoint PROGRAM in the place of the image's
  -l, --label NAME=VALUE
      --stop-signal SIGNAL what "bunny stop" sends
      --pull missing|always|never
      --platform PLATFORM  of an image for several platforms
  -q, --quiet              no progress of a pull
      --store DIRECTORY    the store (default: ~/.local/share/bunny)
      --help               show help

Ends with the application's exit status; 125 if bunny itself failed, 126 if the command cannot be run, 127 if it is not
there.
`;

/** `bunny run`. */
export async function run(words: readonly string[]): Promise<number> {
  try {
    const parsed = parseWords(words, RUN_WORDS, "bunny run");
    if (parsed.booleans["help"]) {
      process.stdout.write(HELP);
      return 0;
    }
    const request = readRequest(parsed, process.env);
    return await runImage(request, parsed.strings, parsed.booleans["quiet"] === true);
  } catch (error) {
    if (!(error instanceof UruncError) || error.exitStatus !== 1) throw error;
    throw new UruncError(error.code, error.message, { cause: error, exitStatus: RUN_FAILED });
  }
}

async function runImage(
  request: RunRequest,
  strings: Record<string, string>,
  quiet: boolean,
): Promise<number> {
  if (request.terminal && !request.detach) checkTerminal(request);
  const places = await sweptPlaces();
  const { store, platform } = strings;
  const { image, root } = await openImageRoot(request, { store, platform, quiet }, places.roots);
  try {
    return await runMachine(places, request, image, root);
  } finally {
    root.release();
  }
}

async function runMachine(
  places: Places,
  request: RunRequest,
  image: ImageContents,
  root: Root,
): Promise<number> {
  const { machine, lock } = await makeMachine(request, image, root, places);
  if (request.detach) {
    await startInBackground(places, machine, lock);
    process.stdout.write(`${machine.id}\n`);
    return 0;
  }
  if (!request.interactive && !request.terminal) {
    // Looked at before: what is typed at a terminal reaches the engine by itself, whatever its standard input is.
    void process.stdin.isTTY;
    closeStandardInput();
  }
  return runAttached(places, machine);
}

function checkTerminal({ interactive }: RunRequest): void {
  if (interactive && !process.stdin.isTTY) throw new UruncError("usage", "the input device is not a TTY");
  if (!process.stdin.isTTY && !process.stdout.isTTY && !process.stderr.isTTY) {
    throw new UruncError(
      "usage",
      "there is no terminal to give to the application: leave out --tty, or run it with -d",
    );
  }
}
