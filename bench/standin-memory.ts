import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { until } from "../tests/harness/command.ts";
import { type Containers, openContainers } from "../tests/harness/containers.ts";
import { processesInCgroup, processName } from "../tests/harness/leaks.ts";
import { privateKiB } from "../tests/harness/private-memory.ts";

/** KiB that no other process shares, of the stand-ins of one container. */
export interface StandinMemory {
  /** The one that stays resident for each container. */
  alone: number;
  /** The same one, while a process that was added to the container runs. */
  withExec: number;
  /** The one of the process that was added, which lasts as long as that. */
  exec: number;
}

/** What stays resident on the host for each machine besides its monitor. Prints a table, and keeps it as others. */
export async function standinMemory(): Promise<StandinMemory> {
  const containers = await openContainers("busybox");
  try {
    const { id } = await running(containers);
    const [first] = standins(id);
    if (first === undefined) throw new Error("there is no stand-in");
    const alone = privateKiB(first);
    const words = ["exec", "--detach", id, "sh", "-c", "echo up; sleep 1000"];
    const call = await containers.runtime.succeed(words);
    await until("the added process has written", () => call.output().stdout === "up\n");
    const added = standins(id).find((pid) => pid !== first);
    if (added === undefined) throw new Error("there is no second stand-in");
    const memory = { alone, withExec: privateKiB(first), exec: privateKiB(added) };
    show(memory);
    return memory;
  } finally {
    await containers.close();
  }
}

async function running(containers: Containers): Promise<{ id: string }> {
  const container = await containers.plan(["sleep", "1000"]);
  await containers.create(container);
  await containers.runtime.succeed(["start", container.id]);
  return container;
}

function standins(id: string): number[] {
  return processesInCgroup(`/${id}`).filter((pid) => processName(pid).startsWith("urunc-standin"));
}

function show(memory: StandinMemory): void {
  console.log("\nPrivate memory of stand-ins, KiB\n\n| which | KiB |\n|---|---|");
  console.log(`| the container's, alone | ${memory.alone} |`);
  console.log(`| the same, with one process added | ${memory.withExec} |`);
  console.log(`| that of the process added | ${memory.exec} |`);
  const directory = join(import.meta.dir, "../build/bench");
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, "standin-memory.json"), `${JSON.stringify(memory, undefined, 2)}\n`);
}
