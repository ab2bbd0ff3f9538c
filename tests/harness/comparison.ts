import { createHash } from "node:crypto";
import {
  copyFileSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import type { BundleConfig } from "./bundle.ts";
import { type CommandResult, command, succeed, until } from "./command.ts";
import type { Containers } from "./containers.ts";
import type { Docker } from "./docker.ts";
import { dockerCommand } from "./docker-layout.ts";
import { imageReference } from "./loaded-docker.ts";

/** All that can be seen of a container from outside; text, so that a difference reads well. */
export interface Observation {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
  /** One line for each file: of a row's directory, or what `docker diff` says. */
  readonly files: readonly string[];
  /** What each of a row's steps gave. */
  readonly steps: readonly string[];
}

/** Replaces what legitimately differs between two runtimes, or two runs. */
export type Normaliser = (text: string) => string;

/** Something done with a container that runs: the words behind `docker`, or one of these. */
export type Step =
  | readonly string[]
  | { readonly docker: readonly string[]; readonly stdin: string | Uint8Array }
  /** Until the container's log has this text. */
  | { readonly until: string };

/** A terminal, and what somebody does there. */
export interface TerminalUse {
  readonly rows: number;
  readonly columns: number;
  readonly typed?: readonly {
    /** Once this has been shown. */
    readonly after: string;
    readonly text?: string;
    readonly size?: { readonly rows: number; readonly columns: number };
  }[];
}

interface AnyRow {
  readonly name: string;
  readonly compare?: Normaliser;
  readonly stdin?: string | Uint8Array;
}

/**
 * `docker run --rm DOCKER IMAGE COMMAND`. `{dir}` in any word is a directory of the run's own, whose files are
 * compared afterwards; `{probe}` the probe program; `{id}`, in steps, the container.
 */
export interface DockerRow extends AnyRow {
  readonly docker?: readonly string[];
  readonly command: readonly string[];
  /** Fills the row's directory. */
  readonly prepare?: (directory: string) => void;
  /** Docker's client has a terminal. */
  readonly terminal?: TerminalUse;
  /** Runs detached instead; the steps begin when the container has printed `ready`. */
  readonly steps?: readonly Step[];
  /** What the container changed in its own file system is compared too. */
  readonly changes?: boolean;
}

/** `RUNTIME run --bundle BUNDLE ID`, without Docker. */
export interface BundleRow extends AnyRow {
  readonly args: readonly string[];
  readonly change?: (config: BundleConfig, rootfs: string) => void;
  /** Changes the bundle's root. */
  readonly prepare?: (rootfs: string) => void;
  /** Directories of the root whose files are compared afterwards. */
  readonly files?: readonly string[];
}

/** Compiles the probe program. */
export async function compileProbe(directory: string): Promise<string> {
  const probe = join(directory, "probe");
  const source = join(import.meta.dir, "probe.c");
  await succeed(["musl-gcc", "-static", "-O2", "-s", source, "-o", probe]);
  return probe;
}

/** Runs a row under a runtime that a private Docker knows. */
export async function observeDocker(
  docker: Docker,
  runtime: string,
  row: DockerRow,
  probe: string,
): Promise<Observation> {
  const directory = mkdtempSync(join(docker.layout.directory, "row-"));
  row.prepare?.(directory);
  const fill = (words: readonly string[], id = "") =>
    words.map((word) =>
      word.replaceAll("{dir}", directory).replaceAll("{probe}", probe).replaceAll("{id}", id),
    );
  const image = imageReference("debian");
  const words = [`--runtime=${runtime}`, ...fill(row.docker ?? []), image, ...fill(row.command)];

  const normalise = (text: string, id?: string) => {
    let known = text.replaceAll(directory, "{dir}");
    if (id !== undefined && id !== "") {
      known = known.replaceAll(id, "{id}").replaceAll(id.slice(0, 12), "{short id}");
    }
    return (row.compare ?? same)(known);
  };
  const kept = row.steps !== undefined || row.changes === true;
  if (!kept) {
    const argv = dockerCommand(docker.layout, ["run", "--rm", ...words]);
    const result = await (row.terminal === undefined
      ? command(argv, row.stdin === undefined ? {} : { stdin: row.stdin })
      : commandInTerminal(argv, row.terminal));
    return {
      exitCode: result.exitCode,
      stdout: normalise(result.stdout),
      stderr: normalise(result.stderr),
      files: listFiles(directory),
      steps: [],
    };
  }

  const cidFile = `${directory}.id`;
  const run = await docker.run(["run", "--cidfile", cidFile, ...(row.steps ? ["--detach"] : []), ...words], {
    ...(row.stdin === undefined ? {} : { stdin: row.stdin }),
  });
  const id = readFileSync(cidFile, "utf8");
  try {
    const steps: string[] = [];
    if (row.steps !== undefined && run.exitCode === 0) await untilLogged(docker, id, "ready");
    for (const step of row.steps ?? []) {
      if ("until" in step) {
        await untilLogged(docker, id, step.until);
        continue;
      }
      const [line, stdin] = "docker" in step ? [step.docker, step.stdin] : [step, undefined];
      const result = await docker.run(fill(line, id), stdin === undefined ? {} : { stdin });
      steps.push(
        `docker ${line.join(" ")}: exit ${result.exitCode}\n` +
          `${normalise(result.stdout, id)}--- stderr\n${normalise(result.stderr, id)}`,
      );
    }
    const changes = row.changes === true ? (await docker.succeed(["diff", id])).split("\n").sort() : [];
    return {
      exitCode: run.exitCode,
      stdout: normalise(run.stdout, id),
      stderr: normalise(run.stderr, id),
      files: [...changes, ...listFiles(directory)],
      steps,
    };
  } finally {
    await docker.run(["rm", "--force", "--volumes", id]);
  }
}

/** Runs a row with a runtime of {@link openContainers}. */
export async function observeBundle(
  containers: Containers,
  row: BundleRow,
  probe: string,
): Promise<Observation> {
  const { id, bundle } = await containers.plan(row.args);
  copyFileSync(probe, join(bundle.rootfs, "probe"));
  row.prepare?.(bundle.rootfs);
  row.change?.(bundle.config, bundle.rootfs);
  writeFileSync(join(bundle.directory, "config.json"), JSON.stringify(bundle.config));
  const input = join(bundle.directory, "input");
  if (row.stdin !== undefined) writeFileSync(input, row.stdin);
  const result = await containers.runtime.call(
    ["run", "--bundle", bundle.directory, id],
    row.stdin === undefined ? {} : { stdinPath: input },
  );
  const normalise = (text: string) =>
    (row.compare ?? same)(text.replaceAll(bundle.directory, "{bundle}").replaceAll(id, "{id}"));
  await containers.expectGone(id);
  return {
    exitCode: result.exitCode,
    stdout: normalise(result.stdout),
    stderr: normalise(result.stderr),
    files: (row.files ?? []).flatMap((path) => listFiles(join(bundle.rootfs, path))),
    steps: [],
  };
}

/**
 * Keeps the sentence of a start that failed; what stands before it names the layers that it came through, which
 * are different ones.
 */
export function failedStart(text: string): string {
  return (
    text
      .replace(/^(docker: Error response from daemon: ).*?(: unable to start container process: )/m, "$1…$2")
      .replace(/^(time="[^"]*" level=error msg=")(.*?)"$/m, "$2")
      .replace(/^(runc|urunc) run failed: /m, "")
      .replace(/ \(via \/proc\/self\/fd\/\d+\)/g, "")
      // Docker's client says so or not, as it happens.
      .replace(/^error waiting for container: context canceled\n/m, "")
  );
}

async function untilLogged(docker: Docker, id: string, text: string): Promise<void> {
  await until(`${id} prints ${text}`, async () => {
    const { stdout, stderr } = await docker.run(["logs", id]);
    return (stdout + stderr).includes(text);
  });
}

/** Runs a command in a terminal of its own, typing when it has shown what is waited for. */
async function commandInTerminal(
  argv: readonly string[],
  { rows, columns, typed = [] }: TerminalUse,
): Promise<CommandResult> {
  const decoder = new TextDecoder();
  const left = [...typed];
  let shown = "";
  const child = Bun.spawn([...argv], {
    terminal: {
      rows,
      cols: columns,
      data(terminal, data) {
        shown += decoder.decode(data, { stream: true });
        const next = left[0];
        if (next === undefined || !shown.includes(next.after)) return;
        left.shift();
        if (next.text !== undefined) terminal.write(next.text);
        if (next.size !== undefined) terminal.resize(next.size.columns, next.size.rows);
      },
    },
  });
  const timer = setTimeout(() => child.kill("SIGKILL"), 60_000);
  const exitCode = await child.exited;
  clearTimeout(timer);
  child.terminal?.close();
  return { exitCode, stdout: shown, stderr: "" };
}

/** One line for each file below a directory: kind, mode, owner, links, size, and what is in it. */
export function listFiles(directory: string): string[] {
  const lines: string[] = [];
  const visit = (path: Buffer, shown: string) => {
    const status = lstatSync(path);
    const mode = (status.mode & 0o7777).toString(8).padStart(4, "0");
    const about = `${shown || "."} ${mode} ${status.uid}:${status.gid}`;
    if (status.isDirectory()) {
      lines.push(`${about} directory`);
      for (const name of readdirSync(path, { encoding: "buffer" }).sort(Buffer.compare)) {
        visit(Buffer.concat([path, Buffer.from("/"), name]), `${shown}/${name.toString("latin1")}`);
      }
    } else if (status.isSymbolicLink()) {
      lines.push(`${about} link to ${readlinkSync(path)}`);
    } else if (status.isFile()) {
      const sum = createHash("sha256").update(readFileSync(path)).digest("hex").slice(0, 16);
      lines.push(`${about} file, ${status.nlink} links, ${status.size} bytes, ${sum}`);
    } else {
      const kind = status.isFIFO()
        ? "fifo"
        : status.isSocket()
          ? "socket"
          : `device ${status.rdev >> 8}:${status.rdev & 255}`;
      lines.push(`${about} ${kind}`);
    }
  };
  mkdirSync(directory, { recursive: true });
  visit(Buffer.from(directory), "");
  return lines;
}

function same(text: string): string {
  return text;
}
