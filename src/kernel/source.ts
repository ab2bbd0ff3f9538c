import { createHash } from "node:crypto";
import { createReadStream, type Stats, statSync } from "node:fs";
import { mkdir, readdir, readFile, rename, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { UruncError } from "../errors.ts";
import { runStep, type StepOptions } from "./step.ts";
import { TOOL_PATH } from "./tools.ts";

/** What a kernel is built from. */
export interface KernelSource {
  kind: "tarball" | "directory";
  /** Absolute. */
  path: string;
  /** As its Makefile says, `6.12.117`. */
  version: string;
  /** The same for the same source. */
  identity: string;
}

/** Where Debian's package puts it. */
export const DEBIAN_SOURCE = "/usr/src/linux-source-6.12.tar.xz";

/**
 * Finds a kernel's source and says which it is.
 *
 * @param given a directory or a tarball; undefined: Debian's
 * @param cacheDirectory keeps what was found out about tarballs, as reading one takes a while
 * @throws UruncError `kernel-build` if there is none
 */
export async function findSource(given: string | undefined, cacheDirectory: string): Promise<KernelSource> {
  const path = resolve(given ?? DEBIAN_SOURCE);
  const stats = statSync(path, { throwIfNoEntry: false });
  if (stats?.isDirectory()) return directorySource(path);
  if (stats?.isFile()) return tarballSource(path, stats, join(cacheDirectory, "kernel/sources"));
  throw new UruncError(
    "kernel-build",
    given === undefined
      ? `the kernel's source ${DEBIAN_SOURCE} is missing: apt-get install linux-source-6.12`
      : `the kernel's source ${path} is neither a directory nor a file`,
  );
}

/** What the kernel's configuration is made with, in any directory of the tree. */
const FOR_CONFIGURING = ["Kconfig*", "Makefile*", "Kbuild*", "scripts", "arch/x86", "kernel/configs"];
/** What no kernel for x86 is made of: a fifth of the files. */
const NOT_FOR_BUILDING = ["Documentation", "tools/testing", "arch/[!x]*"];

type UnpackOptions = Pick<StepOptions, "log" | "signal">;

/**
 * Puts a copy of the source into an empty directory; of a tarball only what it takes to configure it, so that
 * fragments that are not right are refused in seconds.
 */
export async function unpackForConfiguring(
  source: KernelSource,
  directory: string,
  options: UnpackOptions,
): Promise<void> {
  if (source.kind === "tarball") {
    const patterns = FOR_CONFIGURING.map((pattern) => `*/${pattern}`);
    await untar(source, directory, ["--wildcards", ...patterns], options);
    return;
  }
  const step = { ...options, what: `copy the kernel's source ${source.path}` };
  // The history is large, and would show in the kernel's release.
  const entries = (await readdir(source.path)).filter((entry) => entry !== ".git");
  const copy = ["cp", "-a", "--reflink=auto", "-t", directory, "--", ...entries];
  await runStep(copy, { ...step, cwd: source.path });
  // It may have been built in.
  await runStep(["make", "mrproper"], { ...step, cwd: directory });
}

/** Adds what the kernel is compiled from. */
export async function unpackRest(
  source: KernelSource,
  directory: string,
  options: UnpackOptions,
): Promise<void> {
  if (source.kind !== "tarball") return;
  const excluded = NOT_FOR_BUILDING.map((pattern) => `--exclude=*/${pattern}`);
  const flags = ["--skip-old-files", "--anchored", "--no-wildcards-match-slash", ...excluded];
  await untar(source, directory, flags, options);
}

async function untar(
  source: KernelSource,
  directory: string,
  words: readonly string[],
  options: UnpackOptions,
): Promise<void> {
  const flags = ["--strip-components=1", "--no-same-owner", "-C", directory];
  const what = `unpack the kernel's source ${source.path}`;
  await runStep(["tar", "-x", "-f", source.path, ...flags, ...words], { ...options, what });
}

/** The version in a kernel's Makefile, which begins with it. */
export function versionIn(makefile: string): string | undefined {
  const [version, patch, sub, extra] = ["VERSION", "PATCHLEVEL", "SUBLEVEL", "EXTRAVERSION"].map(
    (name) => new RegExp(`^${name}\\s*=[ \\t]*(\\S*)`, "m").exec(makefile)?.[1],
  );
  return version && patch ? `${version}.${patch}.${sub || "0"}${extra ?? ""}` : undefined;
}

async function directorySource(path: string): Promise<KernelSource> {
  const makefile = await readFile(join(path, "Makefile"), "utf8").catch(() => "");
  const version = versionOf(makefile, path);
  const listing = capture(
    ["find", path, "-name", ".git", "-prune", "-o", "!", "-type", "d", "-printf", "%P %s %T@ %l\\n"],
    path,
  );
  const digest = sha256(listing.split("\n").sort().join("\n"));
  return { kind: "directory", path, version, identity: `${version} ${digest}` };
}

async function tarballSource(path: string, stats: Stats, cache: string): Promise<KernelSource> {
  const known = join(cache, `${sha256(`${path}\n${stats.ino}\n${stats.size}\n${stats.mtimeMs}`)}.json`);
  const { version, digest } = (await readKnown(known)) ?? (await examine(path, known));
  return { kind: "tarball", path, version, identity: `${version} ${digest}` };
}

/** What does not change as long as the file does not. */
interface Known {
  version: string;
  digest: string;
}

async function readKnown(file: string): Promise<Known | undefined> {
  try {
    const { version, digest } = JSON.parse(await readFile(file, "utf8")) as Partial<Known>;
    return version && digest ? { version, digest } : undefined;
  } catch {
    // Never written, or a file of half a line: found out again.
    return undefined;
  }
}

async function examine(path: string, file: string): Promise<Known> {
  const pattern = ["--wildcards", "--no-wildcards-match-slash", "--occurrence=1", "*/Makefile"];
  const makefile = capture(["tar", "-x", "-O", "-f", path, ...pattern], path);
  const known = { version: versionOf(makefile, path), digest: await digestOf(path) };
  await mkdir(join(file, ".."), { recursive: true });
  await writeFile(`${file}.${process.pid}`, JSON.stringify(known));
  await rename(`${file}.${process.pid}`, file);
  return known;
}

function versionOf(makefile: string, path: string): string {
  const version = versionIn(makefile);
  if (version !== undefined) return version;
  throw new UruncError("kernel-build", `${path} is not a kernel's source: its top Makefile has no version`);
}

async function digestOf(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) hash.update(chunk);
  return hash.digest("hex");
}

function capture(argv: string[], path: string): string {
  const run = Bun.spawnSync(argv, { env: { PATH: TOOL_PATH, LC_ALL: "C" } });
  if (run.exitCode === 0) return run.stdout.toString();
  const cause = run.stderr.toString().trim().split("\n")[0];
  throw new UruncError("kernel-build", `the kernel's source ${path} cannot be read: ${cause}`);
}

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
