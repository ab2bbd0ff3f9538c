// Installs what `dist/` has into PREFIX (/usr/local), below DESTDIR if that is set, and offers to tell Docker.
import {
  chmodSync,
  chownSync,
  copyFileSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
} from "node:fs";
import { isAbsolute, join } from "node:path";
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

const PROGRAM = "urunc";
const LINKS = ["bunny", "containerd-shim-urunc-v2"];
const FILES: readonly [name: string, mode: number][] = [
  ["vmlinux", 0o644],
  ["bzImage", 0o644],
  ["kernel.config", 0o644],
  ["kernel.json", 0o644],
  ["initramfs.cpio", 0o644],
  ["urunit", 0o755],
  ["urunc-standin", 0o755],
  ["bunny-keeper", 0o755],
];

const choices = readChoices(process.argv.slice(2), process.env);
if (process.geteuid?.() !== 0) {
  fail(
    "only root can install files that are root's: run it as root, with sudo, or with fakeroot and DESTDIR",
  );
}
await installDebianPackages(["build", "run"]);
await makeDist();
try {
  install(join(choices.destination, choices.prefix));
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

/** The executable comes last: what runs meanwhile finds the guest's files of before or of now, but finds them. */
function install(prefix: string): void {
  const from = join(ROOT, "dist");
  const share = join(prefix, "share/urunc");
  const bin = join(prefix, "bin");
  const libexec = join(prefix, "libexec/urunc");
  process.umask(0o022);
  mkdirSync(share, { recursive: true });
  mkdirSync(bin, { recursive: true });
  mkdirSync(libexec, { recursive: true });
  for (const [name, mode] of FILES) put(join(from, "share/urunc", name), join(share, name), mode);
  putDirectory(join(from, "share/urunc/kernel"), join(share, "kernel"));
  put(join(from, "bin", PROGRAM), join(bin, PROGRAM), 0o755);
  // By what containerd's shim calls the runtime.
  putLink(`../../bin/${PROGRAM}`, join(libexec, "runc"));
  for (const name of LINKS) putLink(PROGRAM, join(bin, name));
  say(`installed: ${join(bin, PROGRAM)}, ${LINKS.join(", ")}, and ${share}`);
}

/** Replaces a name in one go: what has the old file open, or runs it, keeps it. */
function replace(path: string, make: (temporary: string) => void): void {
  const temporary = `${path}.urunc-new`;
  rmSync(temporary, { recursive: true, force: true });
  try {
    make(temporary);
    renameSync(temporary, path);
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
}

function put(from: string, to: string, mode: number): void {
  replace(to, (temporary) => {
    copyFileSync(from, temporary);
    chownSync(temporary, 0, 0);
    chmodSync(temporary, mode);
  });
}

function putLink(target: string, path: string): void {
  replace(path, (temporary) => symlinkSync(target, temporary));
}

/** As a whole: a file of an earlier version must not stay among the new ones. */
function putDirectory(from: string, to: string): void {
  const old = `${to}.urunc-old`;
  rmSync(old, { recursive: true, force: true });
  replace(to, (temporary) => {
    copyDirectory(from, temporary);
    // A directory is not renamed over one that has files.
    try {
      renameSync(to, old);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    }
  });
  rmSync(old, { recursive: true, force: true });
}

function copyDirectory(from: string, to: string): void {
  mkdirSync(to, { mode: 0o755 });
  chownSync(to, 0, 0);
  for (const entry of readdirSync(from, { withFileTypes: true })) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)];
    if (entry.isDirectory()) copyDirectory(source, target);
    else put(source, target, 0o644);
  }
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
