import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { appendFile, copyFile, mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { UruncError } from "../errors.ts";
import { compare, count, type OptionCounts, parseConfiguration } from "./configuration.ts";
import { type FragmentOption, optionsOf } from "./fragment.ts";
import type { FragmentFile, Patch } from "./library.ts";
import { isFree, lock } from "./lock.ts";
import { expectedSeconds, firstGuess, isObjectLine, type LastBuild, type Progress } from "./progress.ts";
import { readPrompts } from "./prompts.ts";
import { type KernelSource, unpackForConfiguring, unpackRest } from "./source.ts";
import { runStep, StepError, throwIfInterrupted } from "./step.ts";
import { checkTools, readToolchain, type Toolchain } from "./tools.ts";

/** To be raised when the steps below change what comes out: kernels built by other steps are not these. */
const RECIPE = 1;

/** What a build makes, beside its log. */
export const KERNEL_FILES = ["vmlinux", "bzImage", "kernel.config", "kernel.json"] as const;

export interface BuildRequest {
  source: KernelSource;
  /** All that are used, the optional ones too. */
  fragments: readonly FragmentFile[];
  /** Applied to the source in their order. */
  patches: readonly Patch[];
  /** The optional ones' names. */
  options: readonly string[];
  cacheDirectory: string;
  /** Where the files are put in the end. */
  outDirectory: string;
  jobs: number;
  /** Builds even if the cache has it. */
  force?: boolean;
  onProgress?: (progress: Progress) => void;
  signal?: AbortSignal;
}

/** `kernel.json` */
export interface KernelFigures {
  /** The source's, as `6.12.117`. */
  version: string;
  /** What `uname -r` says. */
  release: string;
  /** The identity that the cache knows it by. */
  key: string;
  source: string;
  toolchain: Toolchain;
  /** The optional fragments in it. */
  with: string[];
  options: OptionCounts;
  /** Bytes. */
  sizes: { vmlinux: number; bzImage: number };
}

export interface BuiltKernel extends KernelFigures {
  /** Absolute paths in the directory that was asked for. */
  files: string[];
  /** Whether it was there already. */
  cached: boolean;
}

/** The places of one build. */
interface Places {
  /** `CACHE/kernel` */
  root: string;
  /** Where the result is kept. */
  kept: string;
  lock: string;
  log: string;
  work: string;
  /** The result until it is complete. */
  staging: string;
}

/**
 * Builds a kernel, or takes it out of the cache.
 *
 * @throws UruncError `kernel-build`: a tool is missing, an option of the fragments is not in the result, make fails
 */
export async function buildKernel(request: BuildRequest): Promise<BuiltKernel> {
  const requested = optionsOf(request.fragments);
  checkTools();
  const toolchain = readToolchain();
  const key = keyOf(request, toolchain);
  const places = placesOf(resolve(request.cacheDirectory), key);
  let figures = request.force ? undefined : readKept(places.kept);
  const cached = figures !== undefined;
  figures ??= await buildLocked(request, requested, places, { key, toolchain });
  return { ...figures, files: await handOut(places.kept, resolve(request.outDirectory)), cached };
}

/** What decides about the result. */
function keyOf(request: BuildRequest, toolchain: Toolchain): string {
  const hash = createHash("sha256");
  const fragments = request.fragments.map(({ name, text }) => [name, text]);
  hash.update(JSON.stringify([RECIPE, request.source.identity, toolchain, fragments, request.patches]));
  return hash.digest("hex").slice(0, 32);
}

function placesOf(cacheDirectory: string, key: string): Places {
  const root = join(cacheDirectory, "kernel");
  return {
    root,
    kept: join(root, key),
    lock: join(root, `${key}.lock`),
    log: join(root, `${key}.log`),
    work: join(root, `work-${key}-${process.pid}`),
    staging: join(root, `work-${key}-${process.pid}`, "urunc-result"),
  };
}

/** The cache's kernel if all of it is there: a machine that lost power may have kept names and lost contents. */
function readKept(directory: string): KernelFigures | undefined {
  try {
    const figures = JSON.parse(readFileSync(join(directory, "kernel.json"), "utf8")) as KernelFigures;
    const complete = (["vmlinux", "bzImage"] as const).every(
      (file) => statSync(join(directory, file)).size === figures.sizes[file],
    );
    return complete && existsSync(join(directory, "kernel.config")) ? figures : undefined;
  } catch {
    return undefined;
  }
}

/** Copies the files, each of them at once: a machine that boots meanwhile has the old one or the new one. */
async function handOut(from: string, to: string): Promise<string[]> {
  await mkdir(to, { recursive: true });
  for (const file of KERNEL_FILES) {
    const unfinished = join(to, `.${file}.${process.pid}`);
    await copyFile(join(from, file), unfinished);
    await rename(unfinished, join(to, file));
  }
  return KERNEL_FILES.map((file) => join(to, file));
}

/** Of two builds of the same kernel the second waits, and then has the first one's result. */
async function buildLocked(
  request: BuildRequest,
  requested: readonly FragmentOption[],
  places: Places,
  identity: { key: string; toolchain: Toolchain },
): Promise<KernelFigures> {
  await mkdir(places.root, { recursive: true });
  const report = new Reporter(request, places.root);
  const held = await lock(places.lock, () => report.enter("waiting"), request.signal).catch((error) => {
    report.end();
    throw error;
  });
  try {
    removeLeftWork(places);
    const kept = request.force ? undefined : readKept(places.kept);
    return kept ?? (await build(request, requested, places, identity, report));
  } catch (error) {
    if (!(error instanceof StepError)) await rm(places.log, { force: true });
    throw error;
  } finally {
    report.end();
    await rm(places.work, { recursive: true, force: true });
    await held.release();
  }
}

/** Removes the trees of builds that were killed: nobody holds their kernel's lock any more. */
function removeLeftWork(places: Places): void {
  for (const name of readdirSync(places.root)) {
    const key = /^work-([0-9a-f]+)-\d+$/.exec(name)?.[1];
    if (key === undefined) continue;
    const lockFile = join(places.root, `${key}.lock`);
    // Our own kernel's lock is ours. To ask for another's would make its file, if that is gone.
    const free = lockFile === places.lock || !existsSync(lockFile) || isFree(lockFile);
    if (free) rmSync(join(places.root, name), { recursive: true, force: true });
  }
}

async function build(
  request: BuildRequest,
  requested: readonly FragmentOption[],
  places: Places,
  identity: { key: string; toolchain: Toolchain },
  report: Reporter,
): Promise<KernelFigures> {
  await rm(places.log, { force: true });
  await mkdir(places.work, { recursive: true });
  const make = maker(request, places);
  const unpacking = { log: places.log, signal: request.signal };
  report.enter("configuring");
  await unpackForConfiguring(request.source, places.work, unpacking);
  await configure(request, requested, places, make);
  report.enter("unpacking");
  await unpackRest(request.source, places.work, unpacking);
  for (const patch of request.patches) await applyPatch(request, places, patch);
  report.enter("compiling");
  await make([`-j${request.jobs}`, "bzImage"], "build the kernel", (line) => report.line(line));
  await runStep(["strip", "-o", join(places.work, "vmlinux.stripped"), join(places.work, "vmlinux")], {
    what: "strip the kernel",
    log: places.log,
    signal: request.signal,
  });
  throwIfInterrupted(request.signal);
  const figures = await stage(request, requested, places, identity);
  await keep(places);
  await report.remember();
  return figures;
}

type Make = (words: string[], what: string, onLine?: (line: string) => void) => Promise<void>;

/** `make` in the work directory, such that the result depends on nothing but the key. */
function maker(request: BuildRequest, places: Places): Make {
  const same = `-ffile-prefix-map=${places.work}/=`;
  const words = ["make", "ARCH=x86", `KCFLAGS=${same}`, `KAFLAGS=${same}`];
  // Tools that Kconfig asks for their versions, which show in the configuration, and that this kernel has no use for.
  words.push("RUSTC=no-rustc", "PAHOLE=no-pahole");
  const env = {
    KBUILD_BUILD_TIMESTAMP: "1970-01-01",
    KBUILD_BUILD_USER: "urunc",
    KBUILD_BUILD_HOST: "urunc",
    KBUILD_BUILD_VERSION: "1",
  };
  const options = { cwd: places.work, env, log: places.log, signal: request.signal };
  return (more, what, onLine) =>
    runStep([...words, ...more], { ...options, what, ...(onLine && { onLine }) });
}

/** @throws UruncError `kernel-build` with each option that is not as a fragment says */
async function configure(
  request: BuildRequest,
  requested: readonly FragmentOption[],
  places: Places,
  make: Make,
): Promise<void> {
  await make(["tinyconfig"], "make the kernel's smallest configuration");
  const config = join(places.work, ".config");
  for (const fragment of request.fragments) await appendFile(config, `${fragment.text}\n`);
  await make(["olddefconfig"], "complete the kernel's configuration");
  const differences = compare(requested, parseConfiguration(await readFile(config, "utf8")));
  if (differences.length === 0) return;
  throw new UruncError(
    "kernel-build",
    `Linux ${request.source.version} cannot be configured as the fragments say:\n${differences.join("\n")}`,
  );
}

/** @throws UruncError `kernel-build` for one that does not fit: another kernel would come out than was asked for */
async function applyPatch(request: BuildRequest, places: Places, patch: Patch): Promise<void> {
  const file = join(places.work, "urunc.patch");
  await writeFile(file, patch.text);
  await runStep(["patch", "--strip=1", "--forward", "--batch", "--fuzz=0", `--input=${file}`], {
    what: `apply ${patch.name} to Linux ${request.source.version} (leave the patches out with --no-patches)`,
    cwd: places.work,
    log: places.log,
    signal: request.signal,
  });
}

/** Collects the result. */
async function stage(
  request: BuildRequest,
  requested: readonly FragmentOption[],
  places: Places,
  identity: { key: string; toolchain: Toolchain },
): Promise<KernelFigures> {
  const { work, staging } = places;
  await mkdir(staging);
  await rename(join(work, "vmlinux.stripped"), join(staging, "vmlinux"));
  await rename(join(work, "arch/x86/boot/bzImage"), join(staging, "bzImage"));
  await rename(join(work, ".config"), join(staging, "kernel.config"));
  const configuration = parseConfiguration(await readFile(join(staging, "kernel.config"), "utf8"));
  const figures: KernelFigures = {
    version: request.source.version,
    release: (await readFile(join(work, "include/config/kernel.release"), "utf8")).trim(),
    key: identity.key,
    source: request.source.identity,
    toolchain: identity.toolchain,
    with: [...request.options],
    options: count(configuration, requested, await readPrompts(work)),
    sizes: {
      vmlinux: statSync(join(staging, "vmlinux")).size,
      bzImage: statSync(join(staging, "bzImage")).size,
    },
  };
  await writeFile(join(staging, "kernel.json"), `${JSON.stringify(figures, undefined, 2)}\n`);
  return figures;
}

/** Puts the complete result into its place, in the stead of one that `force` or a loss of power made worthless. */
async function keep(places: Places): Promise<void> {
  await rename(places.log, join(places.staging, "build.log"));
  if (existsSync(places.kept)) await rename(places.kept, join(places.work, "urunc-replaced"));
  await rename(places.staging, places.kept);
}

/** Tells the caller every second how far it is. */
class Reporter {
  readonly #onProgress: ((progress: Progress) => void) | undefined;
  readonly #guess: LastBuild;
  readonly #memory: string;
  readonly #timer: ReturnType<typeof setInterval>;
  #began = performance.now();
  #compilingSince = 0;
  #objects = 0;
  #phase: Progress["phase"] = "waiting";

  constructor(request: BuildRequest, root: string) {
    this.#onProgress = request.onProgress;
    this.#memory = join(root, "last-build.json");
    this.#guess = firstGuess(request.jobs, readLastBuild(this.#memory));
    this.#timer = setInterval(() => this.#report(), 1000);
  }

  enter(phase: Progress["phase"]): void {
    // The wait for another build is no part of ours.
    if (this.#phase === "waiting") this.#began = performance.now();
    if (phase === "compiling") this.#compilingSince = this.#elapsed();
    this.#phase = phase;
    this.#report();
  }

  line(line: string): void {
    if (isObjectLine(line)) this.#objects++;
  }

  end(): void {
    clearInterval(this.#timer);
  }

  /** For the next build's guess. */
  async remember(): Promise<void> {
    const last: LastBuild = { objects: this.#objects, seconds: Math.round(this.#elapsed()) };
    await writeFile(`${this.#memory}.${process.pid}`, JSON.stringify(last));
    await rename(`${this.#memory}.${process.pid}`, this.#memory);
  }

  #elapsed(): number {
    return (performance.now() - this.#began) / 1000;
  }

  #report(): void {
    const elapsed = this.#elapsed();
    this.#onProgress?.({
      phase: this.#phase,
      elapsedSeconds: elapsed,
      expectedSeconds: expectedSeconds(this.#guess, elapsed, this.#compilingSince, this.#objects),
      objects: this.#objects,
      expectedObjects: this.#guess.objects,
    });
  }
}

function readLastBuild(file: string): LastBuild | undefined {
  try {
    const { objects, seconds } = JSON.parse(readFileSync(file, "utf8")) as Partial<LastBuild>;
    return objects && seconds ? { objects, seconds } : undefined;
  } catch {
    // None yet, or unreadable: then the usual guess.
    return undefined;
  }
}
