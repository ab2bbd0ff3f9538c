import {
  afterAll,
  afterEach,
  beforeAll,
  beforeEach,
  describe,
  expect,
  setDefaultTimeout,
  test,
} from "bun:test";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { BundleConfig } from "../harness/bundle.ts";
import { until } from "../harness/command.ts";
import { type Containers, openContainers, type PlannedContainer } from "../harness/containers.ts";
import { processesInCgroup, processName } from "../harness/leaks.ts";
import { makeNetns, type Netns } from "../harness/netns.ts";
import type { RunningCall, Runtime } from "../harness/runtime.ts";

setDefaultTimeout(120_000);

const SLEEPER = ["sh", "-c", "echo ready; sleep 1000"];

let containers: Containers;
let runtime: Runtime;
let netns: Netns;

beforeAll(async () => {
  containers = await openContainers("busybox");
  runtime = containers.runtime;
}, 300_000);

afterAll(async () => {
  await containers?.close();
}, 120_000);

beforeEach(async () => {
  netns = await makeNetns();
});

afterEach(async () => {
  await netns.remove();
});

/** A container whose network namespace outlives it, so that taps that are left behind can be seen. */
function plan(change: (config: BundleConfig) => void = () => {}): Promise<PlannedContainer> {
  return containers.plan(SLEEPER, (config) => {
    for (const namespace of config.linux.namespaces) {
      if (namespace.type === "network") namespace.path = netns.path;
    }
    change(config);
  });
}

function stateDirectory(id: string): string {
  return join(runtime.root, "containers", id);
}

function kill9(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It has ended by itself: a moment like others.
  }
}

function processesOf(id: string, name: string): number[] {
  return processesInCgroup(`/${id}`).filter((pid) => processName(pid).startsWith(name));
}

function monitorOf(id: string): number | undefined {
  return processesOf(id, "qemu-system")[0];
}

function enginesOf(id: string): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        const words = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
        return /(^|\/)(runc|crun)$/.test(words[0] ?? "") && words.includes(id);
      } catch {
        return false;
      }
    });
}

/** Waits for a moment of a call, however short; or for the call's end, when the moment was missed. */
async function moment(
  call: RunningCall,
  what: string,
  question: () => boolean | Promise<boolean>,
): Promise<void> {
  let ended = false;
  void call.ended.then(
    () => {
      ended = true;
    },
    () => {
      ended = true;
    },
  );
  await until(what, async () => ended || (await question()), 60_000, 1);
}

/** `delete --force` succeeds and takes away all that there is; then the id is free again. */
async function expectCleaned({ id, bundle }: PlannedContainer): Promise<void> {
  const call = await runtime.call(["delete", "--force", id]);
  expect(call.stderr).toBe("");
  expect(call.exitCode).toBe(0);
  await containers.expectGone(id);
  expect(await netns.additions()).toEqual([]);

  await runtime.succeed(["create", "--bundle", bundle.directory, id]);
  expect((await runtime.state(id)).status).toBe("created");
  await runtime.succeed(["delete", "--force", id]);
  await containers.expectGone(id);
  expect(await netns.additions()).toEqual([]);
}

async function running(change?: (config: BundleConfig) => void) {
  const container = await plan(change);
  const call = await containers.create(container);
  await runtime.succeed(["start", container.id]);
  await until("it is ready", () => call.output().stdout.includes("ready"));
  return { container, call };
}

describe("urunc is killed in create", () => {
  const beginCreate = ({ id, bundle }: PlannedContainer) =>
    runtime.begin(["create", "--bundle", bundle.directory, id]);

  for (const [what, isNow] of [
    ["at once", () => true],
    ["when the state directory is there", (id: string) => existsSync(stateDirectory(id))],
    ["when the record is there", (id: string) => existsSync(join(stateDirectory(id), "container.json"))],
    [
      "when the sandbox's bundle is there",
      (id: string) => existsSync(join(stateDirectory(id), "bundle/config.json")),
    ],
    ["when the engine has begun", (id: string) => enginesOf(id).length > 0],
    ["when the engine has processes in the cgroup", (id: string) => processesInCgroup(`/${id}`).length > 0],
    [
      "when the engine has written the process id",
      (id: string) => existsSync(join(stateDirectory(id), "pid")),
    ],
  ] as const) {
    test(what, async () => {
      const container = await plan();
      const call = beginCreate(container);
      await moment(call, what, () => isNow(container.id));
      kill9(call.pid);
      await call.ended;
      await expectCleaned(container);
    });
  }

  test("at moments spread over all of it", async () => {
    const measured = await plan();
    const begin = performance.now();
    await runtime.succeed(["create", "--bundle", measured.bundle.directory, measured.id]);
    const duration = performance.now() - begin;
    await runtime.succeed(["delete", "--force", measured.id]);
    for (let step = 0; step < 10; step++) {
      const container = await plan();
      const call = beginCreate(container);
      await Bun.sleep((duration * step) / 9);
      kill9(call.pid);
      await call.ended;
      await expectCleaned(container);
    }
  }, 300_000);

  test("and the id is not used by another create before it is deleted", async () => {
    const container = await plan();
    const call = beginCreate(container);
    await moment(call, "the record is there", () =>
      existsSync(join(stateDirectory(container.id), "container.json")),
    );
    kill9(call.pid);
    await call.ended;
    const again = await beginCreate(container).ended;
    expect(again.exitCode).toBe(1);
    expect(again.stderr).toContain("already exists");
    await expectCleaned(container);
  });
});

for (const [who, withUrunc] of [
  ["the engine is", false],
  ["urunc and the engine are", true],
] as const) {
  test(`${who} killed in create`, async () => {
    for (const isNow of [
      (id: string) => enginesOf(id).length > 0,
      (id: string) => processesInCgroup(`/${id}`).length > 0,
      (id: string) => existsSync(join(runtime.root, "engine", id, "state.json")),
    ]) {
      const container = await plan();
      const call = runtime.begin(["create", "--bundle", container.bundle.directory, container.id]);
      await moment(call, "the engine's moment", () => isNow(container.id));
      if (withUrunc) kill9(call.pid);
      for (const pid of enginesOf(container.id)) kill9(pid);
      await call.ended;
      await expectCleaned(container);
    }
  }, 180_000);
}

describe("urunc is killed in start", () => {
  async function created() {
    const container = await plan();
    const output = await containers.create(container);
    return { container, output };
  }

  for (const [what, isNow] of [
    ["at once", () => true],
    ["when the tap is there", async () => (await netns.additions()).length > 0],
    ["when the launch document is there", (id: string) => existsSync(join(stateDirectory(id), "vm/launch"))],
    ["when the engine has begun", (id: string) => enginesOf(id).length > 0],
    ["when the monitor runs", (id: string) => monitorOf(id) !== undefined],
  ] as const) {
    test(what, async () => {
      const { container } = await created();
      const call = runtime.begin(["start", container.id]);
      await moment(call, what, () => isNow(container.id));
      kill9(call.pid);
      await call.ended;
      await expectCleaned(container);
    });
  }

  test("at moments spread over all of it", async () => {
    const measured = await created();
    const begin = performance.now();
    await runtime.succeed(["start", measured.container.id]);
    const duration = performance.now() - begin;
    await runtime.succeed(["delete", "--force", measured.container.id]);
    for (let step = 0; step < 8; step++) {
      const { container } = await created();
      const call = runtime.begin(["start", container.id]);
      await Bun.sleep((duration * step) / 7);
      kill9(call.pid);
      await call.ended;
      await expectCleaned(container);
    }
  }, 300_000);

  test("a machine that has begun goes on without it", async () => {
    const { container, output } = await created();
    const call = runtime.begin(["start", container.id]);
    await moment(call, "the monitor runs", () => monitorOf(container.id) !== undefined);
    kill9(call.pid);
    await call.ended;
    await until("the application runs", () => output.output().stdout === "ready\n");
    expect((await runtime.state(container.id)).status).toBe("running");
    await expectCleaned(container);
  });

  test("before the engine has begun, start can be tried again", async () => {
    const { container, output } = await created();
    const call = runtime.begin(["start", container.id]);
    await moment(call, "the tap is there", async () => (await netns.additions()).length > 0);
    kill9(call.pid);
    await call.ended;
    if ((await runtime.state(container.id)).status === "created" && enginesOf(container.id).length === 0) {
      // Whatever that start left is no obstacle.
      const again = await runtime.call(["start", container.id]);
      expect(again.stderr).toBe("");
      expect(again.exitCode).toBe(0);
      await until("the application runs", () => output.output().stdout === "ready\n");
    }
    await expectCleaned(container);
  });
});

describe("urunc is killed in run", () => {
  for (const [what, isNow] of [
    ["when the engine has begun", (id: string) => enginesOf(id).length > 0],
    ["when the tap is there", async () => (await netns.additions()).length > 0],
    ["when the monitor runs", (id: string) => monitorOf(id) !== undefined],
  ] as const) {
    test(what, async () => {
      const container = await plan();
      const call = runtime.begin(["run", "--bundle", container.bundle.directory, container.id]);
      await moment(call, what, () => isNow(container.id));
      kill9(call.pid);
      await call.ended;
      await expectCleaned(container);
    });
  }
});

describe("the stand-in is killed", () => {
  test("while the machine boots", async () => {
    const container = await plan();
    await containers.create(container);
    const { pid } = await runtime.state(container.id);
    const call = runtime.begin(["start", container.id]);
    await moment(call, "the monitor runs", () => monitorOf(container.id) !== undefined);
    kill9(pid);
    const result = await call.ended;
    // Unless the application ran already.
    if (result.exitCode !== 0) {
      expect(result.exitCode).toBe(1);
      expect(result.stderr).toContain("ended before the application started");
    }
    await runtime.untilStatus(container.id, "stopped");
    await expectCleaned(container);
  });

  test("while the application runs: the monitor ends with it", async () => {
    const { container } = await running();
    kill9((await runtime.state(container.id)).pid);
    await runtime.untilStatus(container.id, "stopped");
    await until("the monitor ended", () => monitorOf(container.id) === undefined);
    await expectCleaned(container);
  });

  test("before start", async () => {
    const container = await plan();
    await containers.create(container);
    kill9((await runtime.state(container.id)).pid);
    await runtime.untilStatus(container.id, "stopped");
    const call = await runtime.call(["start", container.id]);
    expect(call.exitCode).toBe(1);
    expect(call.stderr).toContain("cannot start");
    await expectCleaned(container);
  });

  test("in a container that shares the host's process ids", async () => {
    const { container } = await running((config) => {
      config.linux.namespaces = config.linux.namespaces.filter(({ type }) => type !== "pid");
    });
    kill9((await runtime.state(container.id)).pid);
    await runtime.untilStatus(container.id, "stopped");
    const call = await runtime.call(["delete", "--force", container.id]);
    expect(call.exitCode).toBe(0);
    await containers.expectGone(container.id);
    expect(await netns.additions()).toEqual([]);
  });
});

describe("virtiofsd is killed", () => {
  const serverOf = (id: string) =>
    processesInCgroup(`/${id}`).find((pid) => processName(pid).startsWith("virtiofsd"));

  test("while the machine boots: start says so", async () => {
    const container = await plan();
    await containers.create(container);
    const call = runtime.begin(["start", container.id]);
    await moment(call, "it runs", () => serverOf(container.id) !== undefined);
    const server = serverOf(container.id);
    if (server !== undefined) kill9(server);
    const result = await call.ended;
    if (result.exitCode !== 0) {
      expect(result.exitCode).toBe(1);
      expect(result.stderr.trim().split("\n").length).toBe(1);
      expect(result.stderr).not.toContain("internal error");
    }
    await runtime.untilStatus(container.id, "stopped");
    await expectCleaned(container);
  });

  test("while the application runs: the container ends with a sentence", async () => {
    const { container, call } = await running();
    const server = serverOf(container.id);
    expect(server).toBeDefined();
    if (server !== undefined) kill9(server);
    await runtime.untilStatus(container.id, "stopped");
    await until("no process is left", () => processesInCgroup(`/${container.id}`).length === 0);
    expect(call.output().stderr).toMatch(
      /^urunc: the server of the container's files was ended by signal 9: .*\n$/,
    );
    await runtime.succeed(["delete", container.id]);
    await containers.expectGone(container.id);
    expect(await netns.additions()).toEqual([]);
  });
});

describe("the monitor is killed", () => {
  test("while the machine boots: start says so", async () => {
    const container = await plan();
    await containers.create(container);
    const call = runtime.begin(["start", container.id]);
    await moment(call, "the monitor runs", () => monitorOf(container.id) !== undefined);
    const monitor = monitorOf(container.id);
    if (monitor !== undefined) kill9(monitor);
    const result = await call.ended;
    if (result.exitCode !== 0) {
      expect(result.exitCode).toBe(1);
      expect(result.stderr.trim().split("\n").length).toBe(1);
      expect(result.stderr).not.toContain("internal error");
      expect(result.log.at(-1)).toMatchObject({ level: "error", msg: result.stderr.trim() });
    }
    await runtime.untilStatus(container.id, "stopped");
    await expectCleaned(container);
  });

  test("while the application runs: the container ends, and a plain delete is enough", async () => {
    const { container, call } = await running();
    const monitor = monitorOf(container.id);
    expect(monitor).toBeDefined();
    if (monitor !== undefined) kill9(monitor);
    await runtime.untilStatus(container.id, "stopped");
    // The last may stay a little as a zombie, until its parent asks for its status.
    await until("no process is left", () => processesInCgroup(`/${container.id}`).length === 0);
    expect(call.output().stderr).toMatch(/^urunc: .*\n$/);
    await runtime.succeed(["delete", container.id]);
    await containers.expectGone(container.id);
    expect(await netns.additions()).toEqual([]);
  });

  test("delete --force is enough as well", async () => {
    const { container } = await running();
    const monitor = monitorOf(container.id);
    if (monitor !== undefined) kill9(monitor);
    await expectCleaned(container);
  });
});

test("urunc is killed in delete, at moments spread over all of it: the next delete --force finishes", async () => {
  const { container: measured } = await running();
  const begin = performance.now();
  await runtime.succeed(["delete", "--force", measured.id]);
  const duration = performance.now() - begin;
  for (let step = 0; step < 6; step++) {
    const { container } = await running();
    const call = runtime.begin(["delete", "--force", container.id]);
    await Bun.sleep((duration * step) / 5);
    kill9(call.pid);
    await call.ended;
    await expectCleaned(container);
  }
}, 300_000);
