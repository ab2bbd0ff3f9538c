import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { succeed, until } from "../tests/harness/command.ts";
import { type Containers, openContainers } from "../tests/harness/containers.ts";
import {
  openRoots,
  planByWay,
  type Roots,
  unmountRoot,
  virtiofsWith,
  WAYS,
  type Way,
} from "../tests/harness/ways.ts";
import { type Figures, figures } from "./measure.ts";

/** Medians in milliseconds, by the way and by what is done. */
export type WayFigures = Readonly<Record<string, Readonly<Record<string, number>>>>;

/** What to measure. */
export interface WayBench {
  /** Of the ways of `tests/harness/ways.ts` with the agent; default all. */
  readonly ways?: readonly string[];
  /** Policies of the C virtiofsd's cache besides ours. */
  readonly caches?: readonly string[];
  readonly rounds: number;
  /** Small files of 1 KiB. */
  readonly files: number;
  /** MiB of the large one. */
  readonly large: number;
}

type BenchWay = Pick<Way, "name" | "protocol" | "inMemory" | "differ">;

const RUNC = "runc";
const START = "start";
/** Milliseconds; where each file is a request of a share's, 10,000 take minutes. */
const WAITED = 900_000;

/**
 * The ways of a root against each other and runc's, in turn, each time in a new machine: what is read first is in the
 * host's memory, but not in the guest's.
 */
export async function waysBench({ ways, caches = [], rounds, files, large }: WayBench): Promise<WayFigures> {
  const directory = mkdtempSync(join(tmpdir(), "urunc-ways-"));
  const chosen: BenchWay[] = [
    ...WAYS.filter(({ name, protocol }) => protocol === "agent" && (ways?.includes(name) ?? true)),
    ...caches.map((cache) => ({
      name: `virtiofs, cache=${cache}`,
      protocol: "agent" as const,
      inMemory: false,
      differ: () => virtiofsWith(`-o cache=${cache}`),
    })),
  ];
  let roots: Roots | undefined;
  let containers: Containers | undefined;
  try {
    roots = await openRoots("busybox", await makeFiles(directory, files, large));
    containers = await openContainers("busybox", "/usr/sbin/runc");
    const ofRunc: Roots = { ...roots, containers };
    const plain: BenchWay = { name: RUNC, protocol: "agent", inMemory: false, differ: () => ({}) };
    const times = new Map<string, Map<string, number[]>>();
    for (let round = 0; round < rounds; round++) {
      for (const way of [plain, ...chosen]) {
        const seen = await measure(way === plain ? ofRunc : roots, way, files);
        console.error(
          `${way.name}: ${seen.map(([what, time]) => `${what} ${Math.round(time)} ms`).join(", ")}`,
        );
        const own = times.get(way.name) ?? new Map<string, number[]>();
        times.set(way.name, own);
        for (const [what, time] of seen) own.set(what, [...(own.get(what) ?? []), time]);
      }
    }
    return reportWays(times, `${files} files of 1 KiB, ${large} MiB, ${rounds} rounds`);
  } finally {
    await roots?.containers.close();
    await containers?.close();
    rmSync(directory, { recursive: true, force: true });
  }
}

/** What a root has besides its image; gives it by its place. */
async function makeFiles(directory: string, files: number, large: number): Promise<Record<string, string>> {
  const data = join(directory, "data");
  mkdirSync(join(data, "small"), { recursive: true });
  for (let number = 0; number < files; number++) {
    const parent = join(data, "small", String(Math.floor(number / 100)));
    if (number % 100 === 0) mkdirSync(parent);
    writeFileSync(join(parent, String(number % 100)), Buffer.alloc(1024, number));
  }
  writeFileSync(join(data, "large"), Buffer.alloc(large << 20, 1));
  await succeed(["tar", "-cf", join(data, "tree.tar"), "-C", join(data, "small"), "."]);
  const program = join(directory, "ways");
  await succeed(["musl-gcc", "-static", "-O2", "-s", join(import.meta.dir, "ways.c"), "-o", program]);
  return { "/data": data, "/ways": program };
}

/** What one machine says of itself; `start` is from the call of that name to the program's first words. */
async function measure(roots: Roots, way: BenchWay, files: number): Promise<[string, number][]> {
  const { runtime } = roots.containers;
  const container = await planByWay(roots, way, ["/ways", "/data", String(files)], (config) => {
    // The same for all: what is in memory takes half of it at most.
    config.linux.resources.memory = { limit: 2 ** 30 };
  });
  const { id, bundle, env } = container;
  try {
    const call = await runtime.succeed(["create", "--bundle", bundle.directory, id], { env });
    const began = performance.now();
    const starting = runtime.succeed(["start", id], { env });
    await until("its first words", () => call.output().stdout.startsWith("began\n"), 60_000, 2);
    const time = performance.now() - began;
    await starting;
    await until("it has ended", async () => (await runtime.state(id)).status === "stopped", WAITED, 200);
    const { stdout, stderr } = call.output();
    if (!stdout.endsWith("done\n")) throw new Error(`${way.name}: ${stdout}${stderr}`);
    const lines = [...stdout.matchAll(/^(.*): ([0-9.]+)$/gm)];
    return [[START, time], ...lines.map(([, what, ms]): [string, number] => [what as string, Number(ms)])];
  } finally {
    await runtime.call(["delete", "--force", id], { env });
    await unmountRoot(container);
  }
}

/** Prints a row of medians for each way, and keeps all figures in `build/bench/ways.json`. */
function reportWays(
  times: ReadonlyMap<string, ReadonlyMap<string, readonly number[]>>,
  title: string,
): WayFigures {
  const rows: Figures[] = [];
  const medians: Record<string, Record<string, number>> = {};
  for (const [way, own] of times) {
    const ofWay: Record<string, number> = {};
    for (const [what, values] of own) {
      const row = figures(`${way}: ${what}`, values);
      rows.push(row);
      ofWay[what] = row.median;
    }
    medians[way] = ofWay;
  }
  const columns = Object.keys(medians[RUNC] ?? {});
  console.log(`\nThe ways of a root, ms (${title})\n`);
  console.log(`| way | ${columns.join(" | ")} |\n|---${"|---".repeat(columns.length)}|`);
  for (const [way, own] of Object.entries(medians)) {
    console.log(`| ${[way, ...columns.map((what) => own[what])].join(" | ")} |`);
  }
  const directory = join(import.meta.dir, "../build/bench");
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, "ways.json"), `${JSON.stringify({ title, rows }, undefined, 2)}\n`);
  return medians;
}
