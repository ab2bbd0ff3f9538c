// A guest whose kernel belongs to an attacker: whatever it says to the host, its container ends with a reason or can
// be ended, nothing of it is left, and what runs beside it goes on.
import { afterAll, afterEach, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { closeSync, constants, openSync, readFileSync, statSync, writeSync } from "node:fs";
import { join } from "node:path";
import { succeed, until } from "../harness/command.ts";
import { type Containers, openContainers, type PlannedContainer } from "../harness/containers.ts";
import { type HostileGuests, openHostileGuests } from "../harness/hostile-guest.ts";
import { privateKiB } from "../harness/private-memory.ts";
import { type Call, type Runtime, runsMachines, runtimePath } from "../harness/runtime.ts";

setDefaultTimeout(120_000);

const KIB = 1024;

/** Descriptors that a container gets. */
interface Streams {
  readonly input?: number;
  readonly output?: number;
  readonly errors?: number;
}

let containers: Containers;
let runtime: Runtime;
let guests: HostileGuests;
/** An honest one, beside them all. */
let good: PlannedContainer;
/** Open ends of pipes. */
const open: number[] = [];

describe.if(runsMachines)("a hostile guest", () => {
  beforeAll(async () => {
    containers = await openContainers("busybox");
    runtime = containers.runtime;
    guests = await openHostileGuests();
    good = await containers.plan(["sleep", "100000"]);
    await containers.create(good);
    await runtime.succeed(["start", good.id]);
  }, 300_000);

  afterAll(async () => {
    await containers?.close();
    guests?.remove();
  }, 120_000);

  afterEach(async () => {
    for (const descriptor of open.splice(0)) closeSync(descriptor);
    expect((await runtime.succeed(["exec", good.id, "echo", "well"])).stdout).toBe("well\n");
  });

  /** Runs one to its end. Nothing of it may be left, though `run` alone has removed it. */
  async function run(mode: string, bootTimeout?: number): Promise<Call> {
    const { id, bundle } = await containers.plan(["true"]);
    const env = guests.environment(mode, bootTimeout);
    const call = await runtime.call(["run", "--bundle", bundle.directory, id], { env });
    await containers.expectGone(id);
    return call;
  }

  /** Starts one, whose application is said to run. */
  async function start(mode: string, stdio: Streams = {}) {
    return startApplication(["true"], guests.environment(mode), stdio);
  }

  async function startApplication(args: string[], env: Record<string, string>, stdio: Streams) {
    const container = await containers.plan(args);
    const log = join(runtime.directory, `${container.id}.stderr`);
    const errors = openSync(log, "w");
    const words = ["--bundle", container.bundle.directory, container.id];
    const created = Bun.spawn(
      [runtimePath, "--root", runtime.root, "--log", `${log}.log`, "create", ...words],
      { stdin: stdio.input ?? "ignore", stdout: stdio.output ?? errors, stderr: stdio.errors ?? errors, env },
    );
    closeSync(errors);
    expect(await created.exited).toBe(0);
    await runtime.succeed(["start", container.id], { env });
    const { pid } = await runtime.state(container.id);
    return { id: container.id, pid, errors: () => readFileSync(log, "utf8") };
  }

  /** A signal that it may take does no harm, SIGKILL ends it at once, and then there is nothing left. */
  async function expectKilled(id: string): Promise<void> {
    for (let times = 0; times < 20; times++) await runtime.succeed(["kill", id, "TERM"]);
    expect((await runtime.state(id)).status).toBe("running");
    await runtime.succeed(["kill", id, "KILL"]);
    await runtime.untilStatus(id, "stopped");
    await runtime.succeed(["delete", id]);
    await containers.expectGone(id);
  }

  /** A pipe: what the container gets, and what the test has of it, which never waits. */
  async function pipe(): Promise<{ theirs: number; ours: number }> {
    const path = join(runtime.directory, `pipe-${Math.random().toString(36).slice(2)}`);
    await succeed(["mkfifo", path]);
    const theirs = openSync(path, constants.O_RDWR);
    const ours = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
    open.push(theirs, ours);
    return { theirs, ours };
  }

  /** One sentence of urunc's on a line of its own, without anything that steers a terminal. */
  function expectOneSentence(text: string, sentence: string | RegExp): void {
    expect(text).toMatch(sentence);
    expect(text.trimEnd().split("\n")).toEqual([text.trimEnd()]);
    for (const character of text.trimEnd()) expect(character >= " " && character !== "\u007f").toBe(true);
  }

  describe("that breaks the protocol before its application runs", () => {
    for (const [mode, what] of [
      ["hello-magic", "its HELLO is not of this protocol"],
      ["hello-version", "it does not speak version 1"],
      ["hello-late", "it did not begin with HELLO"],
      ["hello-twice", "it sent HELLO twice"],
      ["hello-noise", /it (did not begin with HELLO|sent a frame)/],
      ["start-twice", "it spoke of a start out of turn"],
      ["start-no-id", "it gave a process id that is none"],
      ["fail-status", "it failed with a status that is none of 126, 127 and 128"],
      ["fail-open", "its sentence does not end where it should"],
      ["fail-early-nul", "its sentence does not end where it should"],
    ] as const) {
      test(mode, async () => {
        const call = await run(mode);
        expect(call.exitCode).toBe(1);
        expectOneSentence(call.stderr, what);
        expect(call.stderr).toContain("the guest broke the protocol: ");
      });
    }
  });

  describe("that does not come up", () => {
    for (const mode of ["boot-hangs", "hello-silence", "hello-closes", "boot-floods-console"]) {
      test(mode, async () => {
        const call = await run(mode, 4000);
        expect(call.exitCode).toBe(1);
        expectOneSentence(call.stderr, "the virtual machine did not start its process within 4 seconds");
      });
    }

    for (const [mode, what] of [
      ["boot-resets", "the monitor ended with status 0: see kernel.log"],
      ["boot-panics", "the guest's kernel has panicked: Attempted to kill init!"],
    ] as const) {
      test(mode, async () => {
        const call = await run(mode);
        expect(call.exitCode).toBe(1);
        expectOneSentence(call.stderr, what);
      });
    }
  });

  describe("that says why it failed", () => {
    test("in a sentence that would steer a terminal or forge a line", async () => {
      const call = await run("fail-steers");
      expect(call.exitCode).toBe(1);
      expectOneSentence(call.stderr, /\[2J \]0;owned red {2}urunc: a second line {3}\?/);
    });

    test("in a sentence as long as there may be", async () => {
      const call = await run("fail-long");
      expect(call.exitCode).toBe(1);
      expectOneSentence(call.stderr, /z{4000}/);
      expect(call.stderr.length).toBeLessThan(4200);
    });

    test("and does not end", async () => {
      const call = await run("fail-then-hangs");
      expect(call.exitCode).toBe(1);
      expectOneSentence(call.stderr, "it will not");
    });
  });

  describe("that breaks the protocol while its application runs", () => {
    for (const [mode, what] of [
      ["run-floods", "it sent more data than it had credit for"],
      ["run-four-gib", "it sent a frame that is too long"],
      ["run-type", "it sent a frame of a type that guests do not send"],
      ["run-host-type", "it sent a frame of a type that guests do not send"],
      ["run-nobody", "it sent a frame for a process that does not exist"],
      ["run-large-number", "it sent a frame for a process that does not exist"],
      ["run-machine-data", "it sent a frame on a stream of another kind"],
      ["run-input", "it sent a frame on a stream of another kind"],
      ["run-start-twice", "it spoke of a start out of turn"],
      ["run-window-overflow", "it granted credit for data that it was not sent"],
      ["run-window-unsent", "it granted credit for data that it was not sent"],
      ["run-eof-twice", "it ended a stream twice"],
      ["run-data-after-eof", "it sent data after their end"],
      ["run-exit-early", "it ended the process before its output"],
      ["run-asks", "it asked for a name, and has no resolver"],
      ["run-bye-early", "it sent BYE out of turn"],
      ["run-added-unasked", "it sent a frame for a process that does not exist"],
      ["end-status", "it gave an exit status that is none"],
    ] as const) {
      test(mode, async () => {
        const call = await run(mode);
        expect(call.exitCode).toBe(255);
        expectOneSentence(call.stderr, `urunc: the guest broke the protocol: ${what}`);
      });
    }
  });

  describe("that ends while its application runs", () => {
    for (const mode of ["run-resets", "run-panics"]) {
      test(mode, async () => {
        const call = await run(mode);
        expect(call.exitCode).toBe(255);
        expectOneSentence(call.stderr, "urunc: the monitor ended with status 0: see kernel.log");
      });
    }
  });

  describe("that has ended its application", () => {
    for (const [mode, status] of [
      ["end-twice", 3],
      ["end-without-bye", 5],
      ["end-bye-flood", 6],
      ["end-speaks-on", 7],
    ] as const) {
      test(`${mode}: the first word counts`, async () => {
        const call = await run(mode);
        expect(call.exitCode).toBe(status);
        expect(call.stderr).toBe("");
      });
    }
  });

  describe("that goes on", () => {
    for (const mode of ["run-hangs", "run-closes"]) {
      test(mode, async () => {
        const { id } = await start(mode);
        await expectKilled(id);
      });
    }

    test("and fills its output, which nobody reads", async () => {
      const { theirs, ours } = await pipe();
      const { id, pid } = await start("run-fills", { output: theirs });
      await until("the pipe is full", () => writeSome(ours, Buffer.from("x")) === 0);
      // And what may be held behind it.
      await Bun.sleep(1000);
      expect(privateKiB(pid)).toBeLessThan(1024);
      await expectKilled(id);
    });

    test("and does not read its input", async () => {
      const { theirs, ours } = await pipe();
      const { id, pid } = await start("run-hangs", { input: theirs });
      const piece = Buffer.alloc(64 * KIB);
      let taken = 0;
      let idle = 0;
      while (taken < 8 * 1024 * KIB && idle < 40) {
        const part = writeSome(ours, piece);
        taken += part;
        idle = part === 0 ? idle + 1 : 0;
        if (part === 0) await Bun.sleep(50);
      }
      // The pipe, a window, and what the monitor's socket holds.
      expect(taken).toBeLessThan(1024 * KIB);
      expect(privateKiB(pid)).toBeLessThan(1024);
      await expectKilled(id);
    });

    test("and floods its console", async () => {
      const { id, pid } = await start("run-floods-console");
      const log = join(runtime.root, "containers", id, "vm/kernel.log");
      await until("the log is full", () => statSync(log).size > 128 * KIB);
      for (let times = 0; times < 20; times++) {
        expect(statSync(log).size).toBeLessThanOrEqual(256 * KIB);
        await Bun.sleep(50);
      }
      expect(privateKiB(pid)).toBeLessThan(1024);
      await expectKilled(id);
    });
  });

  describe("that misbehaves for a process that is added", () => {
    for (const [mode, what] of [
      ["exec-data-early", "it sent a frame for a process that does not run"],
      ["exec-exit-early", "it sent a frame for a process that does not run"],
      ["exec-floods", "it sent more data than it had credit for"],
      ["exec-another", "it sent a frame for a process that does not exist"],
      ["exec-window", "it granted credit for data that it was not sent"],
      ["exec-start-twice", "it spoke of a start out of turn"],
      ["exec-status", "it gave an exit status that is none"],
    ] as const) {
      test(mode, async () => {
        const { id, errors } = await start(mode);
        const call = await runtime.call(["exec", id, "true"]);
        expect([137, 255]).toContain(call.exitCode);
        await runtime.untilStatus(id, "stopped");
        expectOneSentence(errors(), `urunc: the guest broke the protocol: ${what}`);
        await runtime.succeed(["delete", id]);
        await containers.expectGone(id);
      });
    }

    test("exec-speaks-on: the process has ended, and then the machine", async () => {
      const { id, errors } = await start("exec-speaks-on");
      const call = await runtime.call(["exec", id, "true"]);
      expect([0, 137, 255]).toContain(call.exitCode);
      await runtime.untilStatus(id, "stopped");
      expectOneSentence(errors(), "it sent a frame for a process that does not");
      await runtime.succeed(["delete", id]);
      await containers.expectGone(id);
    });

    test("exec-endless: an answer to a query has an end", async () => {
      const { id } = await start("exec-endless");
      const call = await runtime.call(["ps", id]);
      expect(call.exitCode).toBe(1);
      expectOneSentence(call.stderr, /the answer is longer than|did not answer within/);
      await expectKilled(id);
    });

    test("exec-silence: who waits for it can leave, and the container can be ended", async () => {
      const { id } = await start("exec-silence");
      const left = runtime.begin(["exec", id, "true"]);
      const waits = runtime.begin(["exec", id, "true"]);
      await Bun.sleep(1500);
      process.kill(left.pid, "SIGKILL");
      await left.ended;
      await runtime.succeed(["kill", id, "KILL"]);
      await runtime.untilStatus(id, "stopped");
      expect((await waits.ended).exitCode).not.toBe(0);
      await runtime.succeed(["delete", id]);
      await containers.expectGone(id);
    });
  });

  test("an agent that gives up says why in the kernel's log", async () => {
    const { id, bundle } = await containers.plan(["true"]);
    const words = ["run", "--keep", "--bundle", bundle.directory, id];
    const call = await runtime.call(words, { env: guests.withoutPort() });
    expectOneSentence(call.stderr, "see kernel.log");
    const log = readFileSync(join(runtime.root, "containers", id, "vm/kernel.log"), "utf8");
    expect(log).toContain("urunit: the host has given no port named urunc.agent.");
    await runtime.succeed(["delete", id]);
    await containers.expectGone(id);
  });

  test("an application that fills both its outputs holds up neither what is added nor signals", async () => {
    const nothing = openSync("/dev/null", "w");
    open.push(nothing);
    const fill = ["sh", "-c", "trap 'exit 0' TERM; yes >&2 & yes & wait"];
    const env = process.env as Record<string, string>;
    const { id } = await startApplication(fill, env, { output: nothing, errors: nothing });
    for (let times = 0; times < 3; times++) {
      expect((await runtime.succeed(["exec", id, "echo", "heard"])).stdout).toBe("heard\n");
    }
    await runtime.succeed(["kill", id, "TERM"]);
    await runtime.untilStatus(id, "stopped");
    await runtime.succeed(["delete", id]);
    await containers.expectGone(id);
  });
});

function writeSome(descriptor: number, bytes: Uint8Array): number {
  try {
    return writeSync(descriptor, bytes);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EAGAIN") return 0;
    throw error;
  }
}
