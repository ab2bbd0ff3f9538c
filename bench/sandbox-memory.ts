import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { until } from "../tests/harness/command.ts";
import { openContainers } from "../tests/harness/containers.ts";

/** MiB that a machine's control group holds beside the guest's memory, page cache left out. */
export interface SandboxMemory {
  /** Of a machine that does nothing. */
  idle: number;
  /** After the guest has read all of its files. */
  afterReading: number;
}

/** What a pod's overhead has to hold (deploy/kubernetes/runtimeclass.yaml). Prints a table, and keeps it as others. */
export async function sandboxMemory(): Promise<SandboxMemory> {
  const containers = await openContainers("debian");
  try {
    const container = await containers.plan(["sleep", "1000"]);
    await containers.create(container);
    await containers.runtime.succeed(["start", container.id]);
    const idle = besideGuest(container.id);
    const read = "find / -xdev -type f -exec cat {} + > /dev/null 2>&1; echo read";
    const call = await containers.runtime.succeed(["exec", container.id, "sh", "-c", read]);
    await until("all is read", () => call.output().stdout === "read\n");
    const memory = { idle, afterReading: besideGuest(container.id) };
    show(memory);
    return memory;
  } finally {
    await containers.close();
  }
}

/** The guest's memory is shared memory, as the file server has it too, which the kernel counts as page cache. */
function besideGuest(id: string): number {
  const [usage, stat, cache] = existsSync("/sys/fs/cgroup/memory")
    ? [
        `/sys/fs/cgroup/memory/${id}/memory.usage_in_bytes`,
        `/sys/fs/cgroup/memory/${id}/memory.stat`,
        "total_cache",
      ]
    : [`/sys/fs/cgroup/${id}/memory.current`, `/sys/fs/cgroup/${id}/memory.stat`, "file"];
  const cached = new RegExp(`^${cache} (\\d+)$`, "m").exec(readFileSync(stat, "utf8"))?.[1];
  return Math.round((Number(readFileSync(usage, "utf8")) - Number(cached)) / 1024 ** 2);
}

function show(memory: SandboxMemory): void {
  console.log("\nMemory of a machine's control group beside the guest's, MiB\n\n| which | MiB |\n|---|---|");
  console.log(`| idle | ${memory.idle} |`);
  console.log(`| after the guest has read all of its files | ${memory.afterReading} |`);
  const directory = join(import.meta.dir, "../build/bench");
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, "sandbox-memory.json"), `${JSON.stringify(memory, undefined, 2)}\n`);
}
