import { chmodSync, closeSync, mkdtempSync, statfsSync, writeFileSync } from "node:fs";
import { availableParallelism, totalmem } from "node:os";
import { join } from "node:path";
import { wrongAt } from "../../bunnyfile/position.ts";
import type { RunStep } from "../../containerfile/plan.ts";
import { UruncError } from "../../errors.ts";
import { readExt4 } from "../../image/filesystem/ext4-reader.ts";
import type { Platform } from "../../image/spec/platform.ts";
import { removeMachine } from "../../machines/catalog.ts";
import { makeMachine } from "../../machines/make.ts";
import { runObserved } from "../../machines/observed.ts";
import type { Places } from "../../machines/places.ts";
import type { RunRequest, Volume } from "../../machines/request.ts";
import { openRoot, type Root, type RootParts } from "../../machines/roots.ts";
import type { Mount, Spec } from "../../oci/runtime-spec.ts";
import type { TreeEntry } from "../entry.ts";
import { changesOf } from "../overlay.ts";
import { openCaches } from "./cache-mount.ts";
import { addMounts, type Bind, keyOfMounts, withoutBinds } from "./run-mounts.ts";
import type { StageFiles } from "./stage-files.ts";

/** The machine that a RUN has. */
export interface RunMachine {
  places: Places;
  network: "user" | "none";
  /** Bytes (default: {@link defaultMemory}). */
  memory?: number;
  /** Tells the user a line that it has written. */
  say(line: string): void;
}

export interface RunOptions {
  /** Of the build file, for sentences. */
  name: string;
  machine: RunMachine;
  platform: Platform;
  /** A directory for files on their way. */
  scratch: string;
  signal: AbortSignal;
}

/** What a machine's changes may take, as far as the host has room. */
const UPPER_MOST = 16 * 2 ** 30;
const UPPER_LEAST = 64 << 20;
const MOST_TITLE = 100;
const MOST_LINE = 65_536;
/** A stage has none. */
const NO_MANIFEST = { mediaType: "", digest: "", size: 0 };
const MEMORY_MOST = 2 * 2 ** 30;
const MEMORY_LEAST = 256 << 20;

/** Half of the host's memory, at most 2 GiB; the machine takes only what it uses. */
export function defaultMemory(): number {
  return Math.max(Math.min(Math.floor(totalmem() / 2), MEMORY_MOST), MEMORY_LEAST);
}

/**
 * Runs a program in a machine whose root is a stage's files; needs neither a daemon nor root.
 *
 * What binds show is put into the lower of the two file systems that the root is made of, and what is written there is
 * left out: so it has the owners that it has elsewhere, whoever builds.
 *
 * @returns what it has changed
 * @throws UruncError `build-file` if it fails, or cannot be started; the signal's reason. Nothing is left then
 */
export async function runIn(
  files: StageFiles,
  step: RunStep,
  binds: readonly Bind[],
  options: RunOptions,
): Promise<TreeEntry[]> {
  const { machine, signal } = options;
  try {
    const root = await openRoot(machine.places.roots, {
      ...files.parts(),
      ...moreOf(step, binds),
    });
    try {
      return await runOn(root, files, step, binds, options);
    } finally {
      root.release();
    }
  } catch (error) {
    signal.throwIfAborted();
    const isOurs =
      error instanceof UruncError && ["usage", "guest", "build", "not-supported"].includes(error.code);
    if (!isOurs) throw error;
    const why = error.code === "build" ? error.message : `could not be started: ${error.message}`;
    throw wrongAt(options.name, step.at, `process ${shownArgs(step)} ${why}`, error);
  }
}

function moreOf(step: RunStep, binds: readonly Bind[]): Pick<RootParts, "more"> {
  if (step.mounts.length === 0) return {};
  return { more: { key: keyOfMounts(step, binds), add: (tree) => addMounts(tree, step, binds) } };
}

async function runOn(
  root: Root,
  files: StageFiles,
  step: RunStep,
  binds: readonly Bind[],
  options: RunOptions,
): Promise<TreeEntry[]> {
  const { places, say } = options.machine;
  const { signal } = options;
  const caches = await openCaches(step);
  try {
    const volumes = [...caches.volumes, ...scriptOf(step, options.scratch)];
    const { machine, lock } = await makeMachine(
      requestOf(step, volumes, options),
      imageOf(step, options.platform),
      root,
      places,
      { upper: upperSize(places.machines), adjust: (spec) => adjusted(spec, step, binds) },
    );
    try {
      const lines = { stdout: new Lines(say), stderr: new Lines(say) };
      const output = (bytes: Buffer, stream: "stdout" | "stderr") => lines[stream].write(bytes);
      const status = await runObserved(places, machine, lock, { output, signal });
      for (const one of Object.values(lines)) one.end();
      if (status !== 0) {
        throw new UruncError("build", `did not complete successfully: exit code: ${status}`);
      }
      const upper = readExt4(machine.upper, files.contents, { directory: ["upper"], signal });
      return await withoutBinds(changesOf(upper), binds, files);
    } finally {
      closeSync(lock);
      await removeMachine(places, machine);
    }
  } finally {
    caches.release();
  }
}

/** Puts pieces together to lines, of which none is longer than a person reads. */
class Lines {
  readonly #say: (line: string) => void;
  readonly #decoder = new TextDecoder();
  #rest = "";

  constructor(say: (line: string) => void) {
    this.#say = say;
  }

  write(bytes: Buffer): void {
    const lines = `${this.#rest}${this.#decoder.decode(bytes, { stream: true })}`.split(/\r?\n/);
    this.#rest = lines.pop() ?? "";
    for (const line of lines) this.#say(line);
    if (this.#rest.length < MOST_LINE) return;
    this.#say(this.#rest);
    this.#rest = "";
  }

  end(): void {
    if (this.#rest !== "") this.#say(this.#rest);
  }
}

/** As BuildKit says it. */
function shownArgs({ argv }: RunStep): string {
  return JSON.stringify(argv.join(" "));
}

/** The file of a heredoc that is a program. */
function scriptOf({ script }: RunStep, scratch: string): Volume[] {
  if (script === undefined) return [];
  const source = join(mkdtempSync(join(scratch, "script-")), "script");
  writeFileSync(source, script.content);
  chmodSync(source, 0o755);
  return [{ source, destination: script.path, readOnly: true }];
}

function requestOf(step: RunStep, volumes: Volume[], { machine }: RunOptions): RunRequest {
  return {
    image: "",
    args: step.argv,
    detach: false,
    interactive: false,
    terminal: false,
    // Should nobody be left to remove it.
    remove: true,
    readOnly: false,
    pull: "never",
    network: step.network === "none" ? "none" : machine.network,
    env: step.env,
    workingDir: step.workingDirectory,
    user: step.user,
    volumes,
    tmpfs: [],
    ports: [],
    memory: machine.memory ?? defaultMemory(),
    nanoCpus: availableParallelism() * 1e9,
    labels: {},
  };
}

/** A stage is no image yet: this is what `bunny ps` shows of its machine. */
function imageOf(step: RunStep, platform: Platform): Parameters<typeof makeMachine>[1] {
  const process = { env: [], entrypoint: [], cmd: [], exposedPorts: [], volumes: [], labels: {} };
  return {
    name: step.title.slice(0, MOST_TITLE),
    descriptor: NO_MANIFEST,
    manifest: { annotations: {} },
    config: { platform, diffIds: [], process },
  };
}

/** The variables are the stage's alone, and its mounts come last. */
function adjusted(spec: Spec, step: RunStep, binds: readonly Bind[]): Spec {
  const tmpfs = step.mounts.flatMap((mount): Mount[] => {
    if (mount.kind !== "tmpfs") return [];
    const size = mount.size === undefined ? [] : [`size=${mount.size}`];
    return [
      { destination: mount.target, type: "tmpfs", source: "tmpfs", options: ["nosuid", "nodev", ...size] },
    ];
  });
  const fixed = binds.filter(({ isReadOnly }) => isReadOnly).map(({ target }) => target);
  return {
    ...spec,
    process: { ...spec.process, env: step.env },
    mounts: [...(spec.mounts ?? []), ...tmpfs],
    linux: { ...spec.linux, readonlyPaths: [...(spec.linux?.readonlyPaths ?? []), ...fixed] },
  };
}

/** As much as the host has, so that what is too much is said in the machine, and not by its disk. */
function upperSize(directory: string): number {
  const { bavail, bsize } = statfsSync(directory);
  return Math.max(Math.min(Math.floor(bavail * bsize * 0.9), UPPER_MOST), UPPER_LEAST);
}
