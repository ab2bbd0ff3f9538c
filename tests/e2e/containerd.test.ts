import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
} from "node:fs";
import { release } from "node:os";
import { dirname, join } from "node:path";
import { command, until } from "../harness/command.ts";
import { type Containerd, startContainerd } from "../harness/containerd.ts";
import { ensureImage } from "../harness/images.ts";
import { expectNothingLeft, processesInCgroup, processName } from "../harness/leaks.ts";
import { imageReference } from "../harness/loaded-docker.ts";
import { runtimePath } from "../harness/runtime.ts";

setDefaultTimeout(120_000);

/** The full name, as `ctr` knows no other. */
const debian = `docker.io/${imageReference("debian")}:latest`;
const URUNC = ["--runtime", "io.containerd.urunc.v2"];
const RUNC = ["--runtime", "io.containerd.runc.v2"];
const LOOP = ["bash", "-c", "trap 'exit 9' TERM; echo ready; while :; do sleep 0.1; done"];

let containerd: Containerd;
/** An installation of the tests' own, which a test replaces under running machines. */
let installation: string;
let ids = 0;

beforeAll(async () => {
  const { archive } = await ensureImage("debian");
  installation = join("/tmp", `ur-installed-${process.pid}`);
  cpSync(dirname(dirname(runtimePath)), installation, { recursive: true, verbatimSymlinks: true });
  containerd = await startContainerd("ctr", join(installation, "bin/urunc"));
  await containerd.succeed(["images", "import", archive]);
}, 600_000);

afterAll(async () => {
  if (containerd !== undefined) {
    await containerd.stop();
    await expectNothingLeft([containerd.layout.directory, containerd.namespace], ["/run/containerd/runc"]);
  }
  rmSync(installation, { recursive: true, force: true });
}, 120_000);

function newId(): string {
  return `task-${++ids}`;
}

function fifos(): string[] {
  return ["--fifo-dir", join(containerd.layout.directory, "fifos")];
}

/** `ctr run --rm` to its end. */
function run(id: string, words: readonly string[], flags: readonly string[] = URUNC) {
  return containerd.run(["run", "--rm", ...fifos(), ...flags, debian, id, ...words], { timeoutMs: 60_000 });
}

/** `ctr run --detach`; gives the id. */
async function detach(words: readonly string[] = LOOP, flags: readonly string[] = URUNC): Promise<string> {
  const id = newId();
  await containerd.succeed(["run", "--detach", "--null-io", ...flags, debian, id, ...words]);
  return id;
}

function exec(id: string, ...words: string[]) {
  return containerd.run(["tasks", "exec", ...fifos(), "--exec-id", newId(), id, ...words]);
}

/** The task's process and status as `ctr tasks list` has them; undefined when there is none. */
async function task(id: string): Promise<{ pid: number; status: string } | undefined> {
  const lines = (await containerd.succeed(["tasks", "list"])).split("\n").map((line) => line.split(/ +/));
  const [, pid, status] = lines.find(([name]) => name === id) ?? [];
  return pid === undefined || status === undefined ? undefined : { pid: Number(pid), status };
}

async function untilStopped(id: string): Promise<void> {
  await until(`${id} is stopped`, async () => (await task(id))?.status === "STOPPED");
}

/** Deletes a stopped task and its container; gives the exit status, which `ctr` says when it is not 0. */
async function remove(id: string): Promise<number> {
  const { stdout, stderr } = await containerd.run(["tasks", "delete", id]);
  await containerd.succeed(["containers", "delete", id]);
  return Number(/exit code (\d+)/.exec(stdout + stderr)?.[1] ?? 0);
}

async function expectGone(id: string): Promise<void> {
  const state = join(containerd.layout.directory, "containerd-state");
  await expectNothingLeft([`/${id}`], [state, containerd.runtimeRoot]);
  await until("the shim's socket is gone", () => !existsSync(containerd.shimSocket(id)), 10_000);
}

/** The shim that bears a container. */
function shimOf(id: string): number {
  const pid = readdirSync("/proc").find((entry) => {
    if (!/^\d+$/.test(entry)) return false;
    const argv = commandLine(entry);
    return (
      (argv[0] ?? "").includes("containerd-shim") &&
      argv.includes(id) &&
      argv.includes(`${containerd.layout.directory}/containerd.sock`)
    );
  });
  if (pid === undefined) throw new Error(`no shim of ${id}`);
  return Number(pid);
}

function commandLine(pid: string): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
  } catch {
    return [];
  }
}

/** What processes of a container's cgroup are called. */
function namesOf(id: string): string[] {
  return processesInCgroup(`/${containerd.namespace}/${id}`).map(processName);
}

describe("io.containerd.urunc.v2", () => {
  for (const snapshotter of ["overlayfs", "native"]) {
    test(`an image of the snapshotter ${snapshotter} is a machine: kernel, streams, exit status`, async () => {
      const id = newId();
      const script = "uname -r; echo err >&2; echo written > /file && cat /file; exit 7";
      const result = await run(id, ["sh", "-c", script], [...URUNC, "--snapshotter", snapshotter]);
      expect(result.stderr).toBe("err\n");
      expect(result.exitCode).toBe(7);
      const [kernel, ...rest] = result.stdout.split("\n");
      expect(kernel).toMatch(/-urunc$/);
      expect(kernel).not.toBe(release());
      expect(rest).toEqual(["written", ""]);
      await expectGone(id);
    });
  }

  test("containerd's shim for runc with urunc as its binary runs the same", async () => {
    const flags = [...RUNC, "--runc-binary", join(installation, "bin/urunc")];
    const result = await run(newId(), ["uname", "-r"], flags);
    expect(result.stdout).toMatch(/-urunc\n$/);
  });

  test("beside it, runc's own containers stay containers", async () => {
    expect((await run(newId(), ["uname", "-r"], RUNC)).stdout).toBe(`${release()}\n`);
  });

  test("a program that is not there: ctr says what it says of a container", async () => {
    const [ours, theirs] = [newId(), newId()];
    const machine = await run(ours, ["/no/such/program"]);
    const container = await run(theirs, ["/no/such/program"], RUNC);
    expect(machine.exitCode).toBe(container.exitCode);
    const reason = (text: string) => /exec: .*$/m.exec(text)?.[0];
    expect(reason(machine.stderr)).toBe(reason(container.stderr) as string);
    expect(reason(machine.stderr)).toContain("no such file or directory");
    await expectGone(ours);
  });

  test("exec, pids, metrics", async () => {
    const id = await detach();
    expect(await exec(id, "sh", "-c", "echo out; echo err >&2; uname -r | grep -q urunc && exit 3")).toEqual({
      stdout: "out\n",
      stderr: "err\n",
      exitCode: 3,
    });
    const pid = (await task(id))?.pid;
    expect(await containerd.succeed(["tasks", "ps", id])).toMatch(new RegExp(`^${pid} `, "m"));
    const metrics = JSON.parse(await containerd.succeed(["tasks", "metrics", "--format", "json", id]));
    expect(metrics.memory.usage.usage).toBeGreaterThan(1024 * 1024);
    expect(metrics.pids.current).toBeGreaterThan(0);
    await containerd.succeed(["tasks", "kill", id]);
    await untilStopped(id);
    expect(await remove(id)).toBe(9);
    await expectGone(id);
  });

  test("pause, resume, kill with a signal of one's choice", async () => {
    const id = await detach(["bash", "-c", "trap 'exit 5' USR1; while :; do sleep 0.1; done"]);
    await containerd.succeed(["tasks", "pause", id]);
    expect((await task(id))?.status).toBe("PAUSED");
    await containerd.succeed(["tasks", "resume", id]);
    expect((await task(id))?.status).toBe("RUNNING");
    await until("the trap is set", async () => {
      const status = (await exec(id, "grep", "SigCgt", "/proc/1/status")).stdout.split("\t")[1] ?? "0";
      return (Number.parseInt(status, 16) & (1 << 9)) !== 0;
    });
    await containerd.succeed(["tasks", "kill", "--signal", "SIGUSR1", id]);
    await untilStopped(id);
    expect(await remove(id)).toBe(5);
  });

  test("a terminal has the client's size, and its new one", async () => {
    const id = newId();
    const script = "stty size; trap 'stty size; exit 4' WINCH; echo ready; while :; do sleep 0.1; done";
    let screen = "";
    const client = Bun.spawn(
      containerd.ctr(["run", "--rm", "--tty", ...URUNC, debian, id, "bash", "-c", script]),
      {
        terminal: { cols: 90, rows: 30, data: (_, data) => (screen += new TextDecoder().decode(data)) },
      },
    );
    await until("it is ready", () => screen.includes("ready"));
    expect(screen).toContain("30 90");
    client.terminal?.resize(101, 41);
    expect(await client.exited).toBe(4);
    expect(screen).toContain("41 101");
    await expectGone(id);
  });

  test("events come in the order in which they come of a container", async () => {
    const machine = await eventsOf(URUNC);
    expect(machine).toEqual(await eventsOf(RUNC));
    expect(machine).toEqual([
      ...["create", "start", "exec-added", "exec-started", "exit 3", "paused", "resumed", "exit 9", "delete"],
    ]);
  });

  test("running machines survive containerd's end by SIGKILL, and are told of afterwards", async () => {
    const [stays, ends] = [await detach(), await detach()];
    await containerd.restart();
    expect((await task(stays))?.status).toBe("RUNNING");
    expect((await exec(stays, "uname", "-r")).stdout).toMatch(/-urunc\n$/);
    for (const id of [stays, ends]) {
      await containerd.succeed(["tasks", "kill", id]);
      await untilStopped(id);
      expect(await remove(id)).toBe(9);
      await expectGone(id);
    }
  });

  test("a new installation in the old one's place does not disturb what runs", async () => {
    const [execed, stopped] = [await detach(), await detach()];
    replaceFiles(dirname(dirname(runtimePath)), installation);
    expect((await exec(execed, "uname", "-r")).stdout).toMatch(/-urunc\n$/);
    expect((await run(newId(), ["true"])).exitCode).toBe(0);
    for (const id of [stopped, execed]) {
      await containerd.succeed(["tasks", "kill", id]);
      await untilStopped(id);
      expect(await remove(id)).toBe(9);
      await expectGone(id);
    }
  });

  test("the resident memory of a machine's shim is that of a container's", async () => {
    const machine = await detach();
    const container = await detach(LOOP, RUNC);
    const memory = (id: string) =>
      Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${shimOf(id)}/smaps_rollup`, "utf8"))?.[1]);
    // The same program; a Go heap is never the same twice.
    expect(memory(machine)).toBeLessThan(1.5 * memory(container));
    for (const id of [machine, container]) {
      await containerd.succeed(["tasks", "delete", "--force", id]);
      await containerd.succeed(["containers", "delete", id]);
    }
  });
});

describe("the shim's command", () => {
  const SHIM = "bin/containerd-shim-urunc-v2";

  test("takes and gives what containerd's own does", async () => {
    const [ours, theirs] = await Promise.all(
      [join(installation, SHIM), "containerd-shim-runc-v2"].map((program) => command([program, "-v"])),
    );
    // The first line has the name that it was called by.
    const versions = (text = "") => text.split("\n").slice(1);
    expect(versions(ours?.stdout)).toEqual(versions(theirs?.stdout));
    expect(versions(ours?.stdout).join()).toContain("Version:");
    expect(ours?.exitCode).toBe(0);
  });

  test("refuses to run without the link by which urunc is found: the container would be one of runc's", async () => {
    const link = join(installation, "libexec/urunc/runc");
    const target = readlinkSync(link);
    rmSync(link);
    try {
      const { stderr, exitCode } = await command([join(installation, SHIM), "-v"]);
      expect(exitCode).toBe(1);
      expect(stderr).toBe(
        `${link} is not a link to ${join(installation, "bin/urunc")}: install urunc again with npm run install:system\n`,
      );
    } finally {
      symlinkSync(target, link);
    }
  });
});

describe("a part is killed by SIGKILL", () => {
  for (const [part, name] of [
    ["the stand-in", "urunc-standin"],
    ["the monitor", "qemu-system-x86"],
  ] as const) {
    test(`${part}: the task ends with 137, and nothing is left`, async () => {
      const id = await detach();
      const pid = processesInCgroup(`/${containerd.namespace}/${id}`).find(
        (pid) => processName(pid) === name,
      );
      process.kill(pid ?? Number.NaN, "SIGKILL");
      await untilStopped(id);
      expect(await remove(id)).toBe(137);
      await expectGone(id);
    });
  }

  test("the shim: containerd removes the machine, and leaves no more than of a container", async () => {
    const left: Record<string, string[]> = {};
    for (const [what, flags] of [
      ["machine", URUNC],
      ["container", RUNC],
    ] as const) {
      const id = await detach(LOOP, flags);
      process.kill(shimOf(id), "SIGKILL");
      await until("the task is gone", async () => (await task(id)) === undefined);
      await until("its processes are gone", () => namesOf(id).length === 0);
      await containerd.succeed(["containers", "delete", id]);
      await expectNothingLeft([`/${id}`], [containerd.runtimeRoot]);
      // Of either kind: it is the shim's own to remove.
      left[what] = existsSync(containerd.shimSocket(id)) ? ["socket"] : [];
      rmSync(containerd.shimSocket(id), { force: true });
    }
    expect(left["machine"]).toEqual(left["container"] as string[]);
  });
});

/** The topics of a task's events, with the exit status, of a life with all that there is an event for. */
async function eventsOf(flags: readonly string[]): Promise<string[]> {
  const client = Bun.spawn(containerd.ctr(["events"]), { stdout: "pipe", stderr: "ignore" });
  let text = "";
  const reading = (async () => {
    const decoder = new TextDecoder();
    for await (const part of client.stdout) text += decoder.decode(part, { stream: true });
  })();
  try {
    // The subscription has no answer: its first event says that it is there.
    await until("events are told", async () => {
      await containerd.succeed(["images", "label", debian, `test=${++ids}`]);
      return text.includes("/images/update");
    });
    const id = await detach(LOOP, flags);
    await exec(id, "sh", "-c", "exit 3");
    await containerd.succeed(["tasks", "pause", id]);
    await containerd.succeed(["tasks", "resume", id]);
    await containerd.succeed(["tasks", "kill", id]);
    await untilStopped(id);
    await remove(id);
    await until("the last is told", () => ofTask(text, id).includes("delete"));
    return ofTask(text, id);
  } finally {
    client.kill();
    await reading;
  }
}

function ofTask(text: string, id: string): string[] {
  return text.split("\n").flatMap((line) => {
    const [, topic, data] = / \/tasks\/(\S+) (\{.*\})$/.exec(line) ?? [];
    if (topic === undefined || data === undefined) return [];
    const event = JSON.parse(data) as { container_id: string; exit_status?: number };
    if (event.container_id !== id) return [];
    return topic === "exit" ? [`exit ${event.exit_status ?? 0}`] : [topic];
  });
}

/** As an installation does it: each name in one go. */
function replaceFiles(from: string, to: string): void {
  mkdirSync(to, { recursive: true });
  for (const entry of readdirSync(from, { withFileTypes: true })) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)];
    if (entry.isDirectory()) replaceFiles(source, target);
    else if (entry.isFile()) {
      copyFileSync(source, `${target}.new`);
      renameSync(`${target}.new`, target);
    }
  }
}
