import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
import { succeed, until } from "../harness/command.ts";
import { type Containers, openContainers } from "../harness/containers.ts";
import type { Call } from "../harness/runtime.ts";

setDefaultTimeout(120_000);

const SOURCE = join(import.meta.dir, "../harness/signal-log.c");
const SIGKILL = 9;
const SIGSTOP = 19;
const LAST = 64;

/** Each runtime, with containers of its own: what is true of one is of the other. */
let sides: Containers[];

beforeAll(async () => {
  sides = [await openContainers("debian", "/usr/sbin/runc"), await openContainers("debian")];
}, 300_000);

afterAll(async () => {
  for (const containers of sides ?? []) await containers.close();
}, 120_000);

async function start(containers: Containers, args: string[]): Promise<{ id: string; call: Call }> {
  const container = await containers.plan(args);
  const program = join(container.bundle.rootfs, "signal-log");
  await succeed(["musl-gcc", "-static", "-O2", SOURCE, "-o", program]);
  const call = await containers.create(container);
  await containers.runtime.succeed(["start", container.id]);
  return { id: container.id, call };
}

test("every signal reaches the application, by its number", async () => {
  for (const containers of sides) {
    const { id, call } = await start(containers, ["/signal-log"]);
    await until("it is ready", () => call.output().stdout === "ready\n");
    const numbers = Array.from({ length: LAST }, (_, index) => index + 1).filter(
      (number) => number !== SIGKILL && number !== SIGSTOP,
    );
    let wanted = "ready\n";
    for (const number of numbers) {
      await containers.runtime.succeed(["kill", id, String(number)]);
      wanted += `${number}\n`;
      await until(`signal ${number} has come`, () => call.output().stdout === wanted);
    }
    await containers.runtime.untilStatus(id, "stopped");
  }
});

test("names, as runc takes them", async () => {
  const names = [
    "HUP",
    "SIGUSR1",
    "sigusr2",
    "rtmin",
    "SIGRTMIN+3",
    "RTMIN+15",
    "RTMAX-14",
    "NOSUCH",
    "0",
    "65",
    "",
  ];
  const seen = [];
  for (const containers of sides) {
    const { id, call } = await start(containers, ["/signal-log"]);
    await until("it is ready", () => call.output().stdout === "ready\n");
    const answers: [string, number, string][] = [];
    for (const name of names) {
      const { exitCode, stderr } = await containers.runtime.call(["kill", id, name]);
      answers.push([name, exitCode, stderr]);
    }
    await containers.runtime.succeed(["kill", id, String(LAST)]);
    await containers.runtime.untilStatus(id, "stopped");
    // Those of one number and more may come in another order.
    seen.push({ answers, output: call.output().stdout.split("\n").sort() });
  }
  expect(seen[1] as object).toEqual(seen[0] as object);
  expect(seen[1]?.output.length).toBeGreaterThan(4);
});

test("many at once: those of real time queue up, others become one", async () => {
  for (const containers of sides) {
    const { id, call } = await start(containers, ["/signal-log"]);
    await until("it is ready", () => call.output().stdout === "ready\n");
    const { pid } = await containers.runtime.state(id);
    for (let i = 0; i < 30; i++) process.kill(pid, 40);
    await until("all have come", () => call.output().stdout.match(/^40$/gm)?.length === 30);
    await containers.runtime.succeed(["kill", id, String(LAST)]);
    await containers.runtime.untilStatus(id, "stopped");
  }
});

test("kill --all: a signal to all that is in the container, and none to the machine", async () => {
  for (const containers of sides) {
    const script = "trap 'echo first; sleep 0.5; exit 3' TERM; echo up; while :; do sleep 0.1; done";
    const { id, call } = await start(containers, ["bash", "-c", script]);
    const { runtime } = containers;
    const added = runtime.begin(["exec", id, "bash", "-c", script.replace("first", "added")]);
    await until("both are up", async () => {
      const { stdout } = await runtime.call(["exec", id, "pgrep", "-c", "-f", "while :"]);
      return call.output().stdout === "up\n" && Number(stdout) >= 2;
    });
    await Bun.sleep(300);
    await runtime.succeed(["kill", "--all", id, "TERM"]);
    await runtime.untilStatus(id, "stopped");
    expect(call.output().stdout).toBe("up\nfirst\n");
    expect((await added.ended).stdout).toBe("up\nadded\n");
  }
});

test("kill --all KILL ends all at once", async () => {
  for (const containers of sides) {
    const { id } = await start(containers, ["sleep", "100000"]);
    await containers.runtime.succeed(["kill", "--all", id, "KILL"]);
    await containers.runtime.untilStatus(id, "stopped");
    await containers.runtime.succeed(["delete", id]);
    await containers.expectGone(id);
  }
});

test("orphans become the first process's children, which may leave them as zombies; there are no others", async () => {
  for (const containers of sides) {
    // The shell makes an orphan of the first sleep and becomes the second, which waits for nobody.
    const { id } = await start(containers, ["sh", "-c", "(sleep 0.2 &); exec sleep 100000"]);
    const { runtime } = containers;
    // That of an added process goes to the first process too.
    await runtime.succeed(["exec", id, "sh", "-c", "(sleep 0.3 &); exit 0"]);
    const zombies = async () =>
      (await runtime.call(["exec", id, "ps", "-eo", "ppid=,stat=,comm="])).stdout
        .split("\n")
        .map((line) => line.trim().replace(/\s+/g, " "))
        .filter((line) => /^\d+ Z/.test(line));
    await until("there are two zombies", async () => (await zombies()).length === 2);
    expect(await zombies()).toEqual(["1 Z sleep", "1 Z sleep"]);
  }
});

test("an application that reaps its children has none left", async () => {
  for (const containers of sides) {
    const script =
      "for i in $(seq 20); do (sleep 0.1 &); done; sleep 1; echo done; while :; do sleep 0.2; done";
    const { id, call } = await start(containers, ["bash", "-c", script]);
    await until("it is done", () => call.output().stdout === "done\n");
    await until("no zombie is left", async () => {
      return !(await containers.runtime.call(["exec", id, "ps", "-eo", "stat="])).stdout.includes("Z");
    });
  }
});
