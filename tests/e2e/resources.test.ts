import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { BundleConfig } from "../harness/bundle.ts";
import { until } from "../harness/command.ts";
import { type Containers, openContainers, type PlannedContainer } from "../harness/containers.ts";
import type { Docker } from "../harness/docker.ts";
import { processesInCgroup, processName } from "../harness/leaks.ts";
import { imageReference, startLoadedDocker } from "../harness/loaded-docker.ts";
import { type Call, runsMachines } from "../harness/runtime.ts";

setDefaultTimeout(120_000);

const MIB = 1024 * 1024;
/** In version 2, which a machine has, or in version 1, which the host of a container may have. */
const GROUP = "/sys/fs/cgroup";

let containers: Containers;

beforeAll(async () => {
  containers = await openContainers("debian");
}, 300_000);

afterAll(async () => {
  await containers?.close();
}, 120_000);

/** A container that runs, with limits. */
async function started(
  args: readonly string[],
  resources: Partial<BundleConfig["linux"]["resources"]> & { pids?: { limit: number } } = {},
): Promise<PlannedContainer> {
  const planned = await containers.plan(args, (config) => {
    Object.assign(config.linux.resources, resources);
  });
  await containers.create(planned);
  await containers.runtime.succeed(["start", planned.id]);
  return planned;
}

const shell = ({ id }: PlannedContainer, script: string): Promise<Call> =>
  containers.runtime.call(["exec", id, "sh", "-c", script]);

async function end({ id }: PlannedContainer): Promise<void> {
  await containers.runtime.succeed(["delete", "--force", id]);
  await containers.expectGone(id);
}

/** The names of an object's fields, and of those of its objects. */
function shape(value: unknown, path = ""): string[] {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return [path];
  return Object.entries(value).flatMap(([key, field]) => shape(field, `${path}.${key}`));
}

describe("ps", () => {
  let machine: PlannedContainer;
  beforeAll(async () => {
    machine = await started(["bash", "-c", "sleep 1000 & exec -a $'evil\\n\\e[31m' sleep 1001"]);
    await until("both run", async () => / evil.+ 1001\n.* sleep 1000$/.test((await ps()).trimEnd()));
  });
  afterAll(() => end(machine));
  const ps = async (...options: string[]) =>
    (await containers.runtime.succeed(["ps", machine.id, ...options])).stdout;

  test("is ps -ef without options: one line a process, whatever it calls itself", async () => {
    const [header, first, second] = (await ps()).trimEnd().split("\n");
    expect(header?.split(/\s+/)).toEqual(["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]);
    expect(first).toMatch(/^root +\d+ +\d+ .* \?\s+00:00:\d\d evil.+ 1001$/);
    expect(first).not.toContain("\u001b");
    expect(second).toMatch(/ sleep 1000$/);
  });

  test.if(runsMachines)("shows the ids that the processes have in the container", async () => {
    const lines = (await ps("-o", "pid,ppid,user,comm")).trimEnd().split("\n");
    expect(lines.map((line) => line.trim().split(/\s+/))).toEqual([
      ["PID", "PPID", "USER", "COMMAND"],
      ["1", "0", "root", "sleep"],
      [expect.stringMatching(/^\d+$/), "1", "root", "sleep"],
    ]);
  });

  test("takes the options of ps", async () => {
    const aux = (await ps("aux")).split("\n")[0]?.trim().split(/\s+/);
    expect(aux?.join(" ")).toBe("USER PID %CPU %MEM VSZ RSS TTY STAT START TIME COMMAND");
    expect((await ps("-eo", "pid,args")).split("\n")[0]).toMatch(/^\s+PID COMMAND$/);
    const unknown = await containers.runtime.call(["ps", machine.id, "-o", "nonsense"]);
    expect(unknown.exitCode).toBe(1);
    expect(unknown.stderr).toContain("nonsense");
  });

  test("as JSON gives the ids of the host's processes", async () => {
    const { stdout } = await containers.runtime.succeed(["ps", "--format", "json", machine.id]);
    expect((JSON.parse(stdout) as number[]).sort()).toEqual(processesInCgroup(`/${machine.id}`).sort());
    const wrong = await containers.runtime.call(["ps", "--format", "xml", machine.id]);
    expect([wrong.exitCode, wrong.stderr]).toEqual([1, expect.stringContaining("invalid format option")]);
  });

  test.if(runsMachines)(
    "of a paused machine there is a sentence, and of a stopped one no process",
    async () => {
      await containers.runtime.succeed(["pause", machine.id]);
      const paused = await containers.runtime.call(["ps", machine.id]);
      await containers.runtime.succeed(["resume", machine.id]);
      expect([paused.exitCode, paused.stderr]).toEqual([1, expect.stringContaining("paused")]);
      const other = await started(["true"]);
      await containers.runtime.untilStatus(other.id, "stopped");
      const stopped = await containers.runtime.succeed(["ps", other.id]);
      expect(stopped.stdout.trim().split("\n").length).toBe(1);
      await end(other);
      const none = await containers.runtime.call(["ps", "nosuch"]);
      expect([none.exitCode, none.stderr]).toEqual([1, expect.stringContaining("container does not exist")]);
    },
  );
});

describe("limits", () => {
  let machine: PlannedContainer;
  beforeAll(async () => {
    const resources = { memory: { limit: 128 * MIB }, pids: { limit: 24 } };
    machine = await started(["sleep", "1000"], resources);
  });
  afterAll(() => end(machine));
  const update = (...words: string[]) => containers.runtime.call(["update", ...words, machine.id]);
  /** How many processes a shell can start beside itself, of 60. */
  const room = async () => {
    const { stdout } = await shell(
      machine,
      "i=0; while [ $i -lt 60 ]; do sleep 15 & i=$((i+1)); echo $i; done",
    );
    await containers.runtime.call(["exec", machine.id, "pkill", "-f", "sleep 15"]);
    return Number(stdout.trimEnd().split("\n").at(-1));
  };

  test("of processes holds: what is too much cannot be forked", async () => {
    const possible = await room();
    expect(possible).toBeLessThan(24);
    expect(possible).toBeGreaterThan(10);
  });

  test("update changes the number of processes while they run", async () => {
    expect((await update("--pids-limit", "12")).exitCode).toBe(0);
    expect(await room()).toBeLessThan(12);
    expect((await update("--pids-limit", "-1")).exitCode).toBe(0);
    expect(await room()).toBe(60);
  });

  test("update changes memory in both directions, and what does not fit is killed", async () => {
    // Without a newline all of it is kept in memory.
    const hog = "head -c 62914560 /dev/zero | tail > /dev/null; echo $?";
    expect((await update("--memory", "48m", "--memory-swap", "48m")).exitCode).toBe(0);
    expect((await shell(machine, hog)).stdout).toBe("137\n");
    expect((await update("--memory", "128m", "--memory-swap", "128m")).exitCode).toBe(0);
    expect((await shell(machine, hog)).stdout).toBe("0\n");
  });

  test.if(runsMachines)("update refuses what a machine cannot get, and changes nothing then", async () => {
    const limits = () => shell(machine, `cat ${GROUP}/memory.max ${GROUP}/pids.max`).then((c) => c.stdout);
    const before = await limits();
    for (const [words, sentence] of [
      [["--memory", "256m"], "started with 128 MiB of memory"],
      [["--cpu-quota", "200000", "--cpu-period", "100000"], "started with 1 processor,"],
      // The engine's part fails: the guest's is taken back.
      [["--cpuset-cpus", "700"], "cpuset"],
    ] as const) {
      const result = await update("--pids-limit", "5", ...words);
      expect([words, result.exitCode, result.stderr]).toEqual([words, 1, expect.stringContaining(sentence)]);
      expect(await limits()).toBe(before);
    }
  });

  test("update takes the resources of config.json, from a file or standard input", async () => {
    const path = join(containers.runtime.directory, "resources.json");
    const resources = {
      cpu: { quota: 50_000, period: 100_000, shares: 512 },
      pids: { limit: 30 },
      memory: {},
    };
    await Bun.write(path, JSON.stringify(resources));
    await containers.runtime.succeed(["update", "--resources", path, machine.id]);
    const quota = join(GROUP, "cpu", machine.id, "cpu.cfs_quota_us");
    const unified = join(GROUP, machine.id, "cpu.max");
    const read = () => readFileSync(readable(quota) ? quota : unified, "utf8").split(/\s/)[0];
    expect(read()).toBe("50000");
    await Bun.write(path, JSON.stringify({ cpu: { quota: -1 } }));
    await containers.runtime.succeed(["update", "-r", "-", machine.id], { stdinPath: path });
    expect(read()).toBeOneOf(["-1", "max"]);
    await Bun.write(path, "nonsense");
    expect((await update("--resources", path)).exitCode).toBe(1);
    expect((await update("--cpu-quota", "abc")).stderr).toContain("invalid value for cpu-quota");
  });

  test("update of what has ended is refused in runc's words", async () => {
    const other = await started(["true"]);
    await containers.runtime.untilStatus(other.id, "stopped");
    for (const [words, sentence] of [
      [["update", "--pids-limit", "5"], "container not running"],
      [["events", "--stats"], `container with id ${other.id} is not running`],
    ] as const) {
      const result = await containers.runtime.call([...words, other.id]);
      expect([result.exitCode, result.stderr]).toEqual([1, expect.stringContaining(sentence)]);
    }
    await end(other);
  });
});

function readable(path: string): boolean {
  try {
    readFileSync(path);
    return true;
  } catch {
    return false;
  }
}

describe("events", () => {
  const resources = { memory: { limit: 64 * MIB }, pids: { limit: 50 } };

  test("--stats has runc's form, and the container's own figures", async () => {
    const machine = await started(["sh", "-c", "sleep 1000 & sleep 1000"], resources);
    await until("all run", async () => (await statistics(machine)).data.pids.current === 3);
    const { type, id, data } = await statistics(machine);
    expect([type, id]).toEqual(["stats", machine.id]);
    expect(data.pids).toEqual({ current: 3, limit: 50 });
    expect(data.cpu.usage.total).toBeGreaterThan(0);
    expect(data.memory.usage.limit).toBe(64 * MIB);
    expect(data.memory.usage.usage).toBeGreaterThan(0);
    expect(data.memory.usage.usage).toBeLessThan(32 * MIB);
    // Raw figures are of one version of cgroups or the other.
    const { raw, cache: _, ...memory } = data.memory;
    expect(Object.keys(raw).length).toBeGreaterThan(10);
    for (const field of MEMORY) expect(shape(memory)).toContain(field);
    expect(Object.keys(data).sort()).toEqual(
      ["blkio", "cpu", "cpuset", "hugetlb", "intel_rdt", "memory", "network_interfaces", "pids"].sort(),
    );
    for (const field of [".total", ".kernel", ".user"]) expect(shape(data.cpu.usage)).toContain(field);
    expect(shape(data.cpuset)).toContain(".sched_relax_domain_level");
    await end(machine);
  });

  test("go on until the container ends, and say what was killed for lack of memory", async () => {
    const machine = await started(["sleep", "1000"], resources);
    const call = containers.runtime.begin(["events", "--interval", "500ms", machine.id]);
    // Until it has begun to count.
    await until("statistics come", () => eventTypes(call.output().stdout).includes("stats"));
    await shell(machine, "tail /dev/zero; true");
    await until("the lack of memory is said", () => eventTypes(call.output().stdout).includes("oom"));
    await containers.runtime.succeed(["kill", machine.id, "KILL"]);
    await containers.runtime.untilStatus(machine.id, "stopped");
    await end(machine);
    const { exitCode, stderr } = await call.ended;
    expect([exitCode, stderr]).toEqual([0, ""]);
  });

  test("an interval that is none is refused", async () => {
    const machine = await started(["sleep", "1000"]);
    for (const interval of ["0", "soon"]) {
      const result = await containers.runtime.call(["events", "--interval", interval, machine.id]);
      expect([interval, result.exitCode]).toEqual([interval, 1]);
    }
    await end(machine);
  });
});

const MEMORY = ["usage", "swap", "kernel", "kernelTCP"].flatMap((name) => [
  `.${name}.limit`,
  `.${name}.failcnt`,
]);

interface Statistics {
  type: string;
  id: string;
  data: {
    cpu: { usage: { total: number } };
    cpuset: object;
    memory: { cache?: number; usage: { limit: number; usage: number }; raw: object };
    pids: { current: number; limit?: number };
  };
}

async function statistics({ id }: PlannedContainer): Promise<Statistics> {
  return JSON.parse((await containers.runtime.succeed(["events", "--stats", id])).stdout) as Statistics;
}

function eventTypes(output: string): string[] {
  return output
    .split("\n")
    .slice(0, -1)
    .map((line) => (JSON.parse(line) as { type: string }).type);
}

describe.if(runsMachines)("memory that the guest frees", () => {
  test("goes back to the host", async () => {
    const machine = await started(["sleep", "1000"], { memory: { limit: 256 * MIB } });
    const monitor = processesInCgroup(`/${machine.id}`).find((pid) => processName(pid).startsWith("qemu"));
    const resident = () =>
      Number(
        /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${monitor}/status`, "utf8"))?.[1] ?? Number.NaN,
      ) / 1024;
    const before = resident();
    // All of its one line is kept in memory.
    await shell(machine, "head -c 134217728 /dev/zero | tail > /dev/null");
    const most = resident();
    expect(most - before).toBeGreaterThan(110);
    const rest = await until(
      "the host has it back",
      () => most - resident() > 100 && resident(),
      30_000,
      100,
    );
    console.log(`resident: ${before.toFixed(0)} MiB, then ${most.toFixed(0)}, then ${rest.toFixed(0)}`);
    await end(machine);
  });
});

describe("with Docker", () => {
  let docker: Docker;
  let name: string;
  beforeAll(async () => {
    docker = await startLoadedDocker("resources", ["debian"]);
    name = await run(["--memory", "128m", "--cpus", "1", "--pids-limit", "20"], ["sleep", "100000"]);
  }, 300_000);
  afterAll(() => docker?.stop(), 120_000);

  const runtime = runsMachines ? "urunc" : "runc";
  const run = (flags: string[], args: string[]) =>
    docker.succeed(["run", "--detach", "--runtime", runtime, ...flags, imageReference("debian"), ...args]);
  const inspect = (id: string, format: string) => docker.succeed(["inspect", "--format", format, id]);

  test("docker top lists the host's processes", async () => {
    const lines = (await docker.succeed(["top", name])).split("\n");
    expect(lines[0]).toMatch(/^UID\s+PID\s+PPID/);
    if (runsMachines) expect(lines.some((line) => line.includes("qemu-system"))).toBe(true);
    else expect(lines.length).toBe(2);
    expect(await docker.succeed(["top", name, "-o", "pid,comm"])).toContain("PID");
  });

  test("docker stats has figures", async () => {
    const format = "{{.PIDs}} {{.MemUsage}} {{.CPUPerc}}";
    const stats = await docker.succeed(["stats", "--no-stream", "--format", format, name]);
    expect(stats).toMatch(/^[1-9]\d* [\d.]+[KM]iB \/ [\d.]+MiB [\d.]+%$/);
  });

  test("docker update changes processes, processors and memory", async () => {
    await docker.succeed(["update", "--pids-limit", "30", name]);
    await docker.succeed(["update", "--cpus", "0.5", name]);
    await docker.succeed(["update", "--memory", "96m", "--memory-swap", "96m", name]);
    const { stdout } = await docker.run([
      ...["exec", name, "sh", "-c"],
      "cd /sys/fs/cgroup; cat pids.max memory.max || cat pids/pids.max memory/memory.limit_in_bytes",
    ]);
    expect(stdout).toBe(`30\n${96 * MIB}\n`);
    expect(await inspect(name, "{{.HostConfig.NanoCpus}} {{.HostConfig.Memory}}")).toBe(
      `500000000 ${96 * MIB}`,
    );
    if (!runsMachines) return;
    const refused = await docker.run(["update", "--memory", "512m", "--memory-swap", "512m", name]);
    expect(refused.exitCode).toBe(1);
    expect(refused.stderr).toContain("started with 128 MiB of memory");
    expect(await inspect(name, "{{.HostConfig.Memory}}")).toBe(String(96 * MIB));
  });

  test("--pids-limit holds inside", async () => {
    const script = "i=0; while [ $i -lt 40 ]; do sleep 30 & i=$((i+1)); done";
    const id = await run(["--pids-limit", "10"], ["sh", "-c", script]);
    await docker.succeed(["wait", id]);
    expect((await docker.run(["logs", id])).stderr).toMatch(/fork/i);
    await docker.succeed(["rm", id]);
  });

  for (const [what, flags] of [
    ["a memory limit", ["--memory", "64m", "--memory-swap", "64m"]],
    ...(runsMachines ? [["the memory that a machine has by default", []] as const] : []),
  ] as const) {
    test(`too little memory: 137 and OOMKilled, with ${what}`, async () => {
      const id = await run([...flags], ["tail", "/dev/zero"]);
      expect(await docker.succeed(["wait", id])).toBe("137");
      await until("Docker knows why", async () => (await inspect(id, "{{.State.OOMKilled}}")) === "true");
      await docker.succeed(["rm", id]);
    });
  }

  test("an end by SIGKILL is not said to be lack of memory", async () => {
    const id = await run([], ["sleep", "100000"]);
    await docker.succeed(["kill", id]);
    expect(await inspect(id, "{{.State.ExitCode}} {{.State.OOMKilled}}")).toBe("137 false");
    await docker.succeed(["rm", id]);
  });
});
