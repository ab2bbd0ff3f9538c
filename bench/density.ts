import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Containers, openContainers, type PlannedContainer } from "../tests/harness/containers.ts";
import { processesInCgroup, processName } from "../tests/harness/leaks.ts";

/** Containers that are started at the same time: as many as the machine that the figures are of has processors. */
const LANES = 2;
/** Of each container. */
const MEMORY_MIB = 64;

/** What it is to have many at once. */
export interface Density {
  /** How many answered while all of them ran. */
  answered: number;
  /** Seconds, until the last one's program ran. */
  seconds: number;
  /** MiB of each on the average, what is shared counted in parts. */
  memoryMiB: number;
}

/** Many containers at once, as machines and as runc's. Prints a table, and keeps it as others. */
export async function density(count: number): Promise<{ urunc: Density; runc: Density }> {
  const runc = await many(count, "/usr/sbin/runc");
  const urunc = await many(count);
  show(count, { runc, urunc });
  return { urunc, runc };
}

async function many(count: number, program?: string): Promise<Density> {
  const containers = await openContainers("busybox", program);
  try {
    const planned: PlannedContainer[] = [];
    for (let number = 0; number < count; number++) {
      planned.push(
        await containers.plan(["sleep", "100000"], (config) => {
          config.linux.resources.memory = { limit: MEMORY_MIB * 1024 * 1024 };
        }),
      );
    }
    const began = performance.now();
    await inLanes(planned, async (container) => {
      await containers.create(container);
      await containers.runtime.succeed(["start", container.id]);
    });
    const seconds = (performance.now() - began) / 1000;
    let answered = 0;
    await inLanes(planned, async (container) => {
      if (await answers(containers, container)) answered++;
    });
    const memoryMiB = planned.reduce((sum, { id }) => sum + proportionalMiB(id), 0) / count;
    await inLanes(planned, async ({ id }) => {
      await containers.runtime.succeed(["delete", "--force", id]);
    });
    return { answered, seconds, memoryMiB };
  } finally {
    // Which fails if anything of any of them is left.
    await containers.close();
  }
}

async function answers({ runtime }: Containers, { id }: PlannedContainer): Promise<boolean> {
  const { exitCode, stdout } = await runtime.call(["exec", id, "echo", id]);
  return exitCode === 0 && stdout === `${id}\n`;
}

async function inLanes<T>(all: readonly T[], work: (one: T) => Promise<void>): Promise<void> {
  const left = [...all];
  const lane = async () => {
    for (let one = left.shift(); one !== undefined; one = left.shift()) await work(one);
  };
  await Promise.all(Array.from({ length: LANES }, lane));
}

/** MiB of the processes of a container, what several share counted in parts (proc(5), `Pss`). */
function proportionalMiB(id: string): number {
  const pids = processesInCgroup(`/${id}`);
  if (pids.length === 0) throw new Error(`nothing of ${id} runs`);
  return pids.reduce((sum, pid) => {
    const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
    const kib = /^Pss:\s+(\d+) kB$/m.exec(rollup)?.[1];
    if (kib === undefined) throw new Error(`${processName(pid)} has no memory`);
    return sum + Number(kib) / 1024;
  }, 0);
}

function show(count: number, found: { runc: Density; urunc: Density }): void {
  console.log(`\n${count} containers of ${MEMORY_MIB} MiB at once, ${LANES} started at a time\n`);
  console.log(
    "| what | answered | time until all ran | for each | ratio | memory of each |\n|---|---|---|---|---|---|",
  );
  for (const [name, one] of Object.entries(found)) {
    const cells = [
      ...[name, `${one.answered} of ${count}`, `${one.seconds.toFixed(1)} s`],
      `${((one.seconds / count) * 1000).toFixed(0)} ms`,
      (one.seconds / found.runc.seconds).toFixed(2),
      `${one.memoryMiB.toFixed(1)} MiB`,
    ];
    console.log(`| ${cells.join(" | ")} |`);
  }
  const directory = join(import.meta.dir, "../build/bench");
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, "density.json"), `${JSON.stringify({ count, ...found }, undefined, 2)}\n`);
}
