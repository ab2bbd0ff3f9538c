// Installs what `dist/` has into PREFIX (/usr/local), below DESTDIR if that is set, and offers to tell Docker.
import { isAbsolute, join } from "node:path";
import { installFiles, LINKS, PROGRAM } from "../src/node/install-files.ts";
import {
  DAEMON_FILE,
  newSettings,
  previewRegistration,
  RELOAD_COMMANDS,
  type Registration,
  registerInFile,
} from "./docker-daemon.ts";
import { makeDist, ROOT } from "./make-dist.ts";
import { installDebianPackages } from "./setup.ts";
import { fail, say } from "./terminal.ts";

interface Choices {
  prefix: string;
  /** Where a package is put together, instead of `/`; empty: nowhere. */
  destination: string;
  /** Undefined: ask. */
  registerDocker?: boolean;
}

const choices = readChoices(process.argv.slice(2), process.env);
if (process.geteuid?.() !== 0) {
  fail(
    "only root can install files that are root's: run it as root, with sudo, or with fakeroot and DESTDIR",
  );
}
await installDebianPackages(["build", "run"]);
await makeDist();
try {
  const prefix = join(choices.destination, choices.prefix);
  installFiles(join(ROOT, "dist"), prefix);
  say(`installed: ${join(prefix, "bin", PROGRAM)}, ${LINKS.join(", ")}, and ${join(prefix, "share/urunc")}`);
} catch (error) {
  fail(`urunc cannot be installed: ${(error as Error).message}`);
}
if (choices.destination === "") offerDocker(join(choices.prefix, "bin", PROGRAM), choices.registerDocker);

function readChoices(words: readonly string[], environment: NodeJS.ProcessEnv): Choices {
  const chosen: Choices = {
    prefix: environment["PREFIX"] || "/usr/local",
    destination: environment["DESTDIR"] ?? "",
  };
  for (const word of words) {
    if (word.startsWith("PREFIX=")) chosen.prefix = word.slice("PREFIX=".length);
    else if (word.startsWith("DESTDIR=")) chosen.destination = word.slice("DESTDIR=".length);
    else if (word === "--register-docker") chosen.registerDocker = true;
    else if (word === "--no-register-docker") chosen.registerDocker = false;
    else {
      fail(
        `install:system knows PREFIX=/DIRECTORY, DESTDIR=/DIRECTORY, --register-docker and --no-register-docker, not ${word}`,
      );
    }
  }
  if (!isAbsolute(chosen.prefix))
    fail(`PREFIX must be an absolute path, not ${JSON.stringify(chosen.prefix)}`);
  if (chosen.destination !== "" && !isAbsolute(chosen.destination)) {
    fail(`DESTDIR must be an absolute path, not ${JSON.stringify(chosen.destination)}`);
  }
  if (chosen.destination !== "" && chosen.registerDocker) {
    fail(
      "with DESTDIR nothing outside of it is touched: --register-docker is for an installation without it",
    );
  }
  return chosen;
}

function offerDocker(program: string, wanted: boolean | undefined): void {
  const preview = previewRegistration(DAEMON_FILE, program);
  if (preview.kind === "unchanged") {
    say(`Docker: the runtime urunc is in ${DAEMON_FILE} already`);
  } else if (wanted ?? (preview.kind === "changed" && ask())) {
    report(registerInFile(DAEMON_FILE, program));
  } else if (wanted === undefined) {
    advise(program, preview);
  }
}

/** On a terminal only: elsewhere nobody answers, and a file of somebody else's is not changed unasked. */
function ask(): boolean {
  if (!process.stdin.isTTY || !process.stdout.isTTY) return false;
  return confirm(`Docker: add the runtime urunc to ${DAEMON_FILE}?`);
}

function report(registration: Registration): void {
  if (registration.kind === "refused") fail(`Docker: ${DAEMON_FILE} stays as it is: ${registration.reason}`);
  say(
    `Docker: the runtime urunc is in ${DAEMON_FILE} now; a running Docker learns of it by: ${RELOAD_COMMANDS}`,
  );
}

function advise(program: string, preview: Registration): void {
  say(
    preview.kind === "refused"
      ? `Docker: the runtime urunc cannot be added to ${DAEMON_FILE}: ${preview.reason}. What it takes there:`
      : `Docker: to use it, add this to what ${DAEMON_FILE} has (or run this again with --register-docker):`,
  );
  say(`${newSettings(program)}\nthen make Docker read it: ${RELOAD_COMMANDS}`);
}
