import { parseArgs } from "node:util";
import { interruptible } from "../bunny/interrupt.ts";
import { cacheDirectory } from "../config/own-directories.ts";
import { UruncError } from "../errors.ts";
import { type BuiltKernel, buildKernel } from "./build.ts";
import { optionsOf } from "./fragment.ts";
import { findFragmentDirectory, readFragments, readPatches } from "./library.ts";
import { FORMATS, type Format, listing } from "./listing.ts";
import { minutes, type Progress, progressLine } from "./progress.ts";
import { findSource } from "./source.ts";

const HELP = `bunny kernel - builds the kernel of the virtual machines, and says what is in it

Usage: bunny kernel build [flags]
       bunny kernel config [flags]
       bunny kernel push [flags] NAME
       bunny kernel image [flags] -o PLACE...

push and image publish the kernel as an image: see "bunny kernel push --help".

Flags of build and config:
  --with NAME              add the optional fragment NAME, as ia32; may be repeated
  --fragments DIRECTORY    the configuration's fragments (default: the installed ones)
  -h, --help               show help

Flags of build:
  --source PATH            the kernel's source, a directory or a tarball
                           (default: /usr/src/linux-source-6.12.tar.xz)
  --output DIRECTORY       where vmlinux, bzImage, kernel.config and kernel.json are put (default: ./)
  --jobs NUMBER            compilers at a time (default: one for each processor)
  --no-patches             leave the changes to the source out: for sources that they do not fit
  --force                  build it even if it is in the cache

Flags of config:
  --format FORMAT          text, config or json (default: text)
`;

/** Seconds between two lines of progress where no terminal shows one that changes. */
const LINE_INTERVAL = 15;

/**
 * The commands `bunny kernel …`.
 *
 * @returns the exit status
 * @throws UruncError `usage` for words it does not know, and what the commands themselves throw
 */
export async function kernelCommand(words: readonly string[]): Promise<number> {
  const [command, ...rest] = words;
  switch (command) {
    case undefined:
    case "-h":
    case "--help":
      process.stdout.write(HELP);
      return 0;
    case "build":
      return build(rest);
    case "config":
      return config(rest);
    case "push":
    case "image":
      return (await import("../bunny/publish.ts")).publish("kernel", command, rest);
    default:
      throw new UruncError(
        "usage",
        `bunny kernel has no command ${JSON.stringify(command)}: see "bunny kernel --help"`,
      );
  }
}

const COMMON = {
  with: { type: "string", multiple: true },
  fragments: { type: "string" },
  help: { type: "boolean", short: "h" },
} as const;

function config(words: string[]): number {
  const flags = usage("bunny kernel config", () =>
    parseArgs({ args: words, options: { ...COMMON, format: { type: "string" } } }),
  ).values;
  if (flags.help) return help();
  const format = FORMATS.find((known) => known === (flags.format ?? ("text" satisfies Format)));
  if (format === undefined) {
    throw new UruncError(
      "usage",
      `bunny kernel config: --format is one of ${FORMATS.join(", ")}, not ${flags.format}`,
    );
  }
  const fragments = readFragments(findFragmentDirectory(flags.fragments), flags.with ?? []);
  optionsOf(fragments);
  process.stdout.write(listing(fragments, format));
  return 0;
}

const BUILD = {
  ...COMMON,
  source: { type: "string" },
  output: { type: "string" },
  jobs: { type: "string" },
  force: { type: "boolean" },
  "no-patches": { type: "boolean" },
} as const;

async function build(words: string[]): Promise<number> {
  const flags = usage("bunny kernel build", () => parseArgs({ args: words, options: BUILD })).values;
  if (flags.help) return help();
  const jobs = jobsOf(flags.jobs);
  const options = [...new Set(flags.with ?? [])].sort();
  const directory = findFragmentDirectory(flags.fragments);
  const fragments = readFragments(directory, options);
  const cache = cacheDirectory("urunc");
  const source = await findSource(flags.source, cache);
  const began = performance.now();
  const built = await interruptible((signal) =>
    buildKernel({
      source,
      fragments,
      patches: flags["no-patches"] ? [] : readPatches(directory),
      options,
      cacheDirectory: cache,
      outDirectory: flags.output ?? ".",
      jobs,
      force: flags.force ?? false,
      onProgress: progressWriter(source.version),
      signal,
    }),
  ).finally(() => {
    if (process.stderr.isTTY) process.stderr.write("\r\x1b[K");
  });
  process.stdout.write(summary(built, (performance.now() - began) / 1000));
  return 0;
}

function help(): number {
  process.stdout.write(HELP);
  return 0;
}

/** The parser's own errors as ours. */
function usage<T>(command: string, parse: () => T): T {
  try {
    return parse();
  } catch (cause) {
    const message = (cause as Error).message.split(". ")[0];
    throw new UruncError("usage", `${command}: ${message}: see "bunny kernel --help"`, { cause });
  }
}

function jobsOf(given: string | undefined): number {
  if (given === undefined) return navigator.hardwareConcurrency;
  if (/^[1-9]\d{0,3}$/.test(given)) return Number(given);
  throw new UruncError("usage", `bunny kernel build: --jobs is a number of compilers from 1, not ${given}`);
}

/** On a terminal one line that changes, else a line now and then and with each new phase. */
function progressWriter(version: string): (progress: Progress) => void {
  let phase: Progress["phase"] | undefined;
  let written = 0;
  return (progress) => {
    const line = `Linux ${version}: ${progressLine(progress)}`;
    if (process.stderr.isTTY) {
      process.stderr.write(`\r\x1b[K${line}`);
      return;
    }
    const now = performance.now() / 1000;
    if (progress.phase === phase && now - written < LINE_INTERVAL) return;
    phase = progress.phase;
    written = now;
    process.stderr.write(`${line}\n`);
  };
}

function summary(built: BuiltKernel, seconds: number): string {
  const sizes: Record<string, number> = built.sizes;
  const files = built.files.map((file) => {
    const size = sizes[file.slice(file.lastIndexOf("/") + 1)];
    return size === undefined ? file : `${file}  ${size} bytes`;
  });
  const { enabled, selectable, chosen } = built.options;
  const how = built.cached ? "from the cache" : `built in ${minutes(seconds)}`;
  return `Linux ${built.release}, ${how}
${files.join("\n")}
${chosen} options chosen by the fragments, ${selectable} that a person can choose, ${enabled} lines "=y" with the hidden ones
`;
}
