// Machines that run, while another version of urunc is installed in the place of the one that they were started with.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type BunnyHome, makeBunnyHome } from "../harness/bunny.ts";
import { type Checkout, copyCheckout } from "../harness/checkout.ts";
import { command, until } from "../harness/command.ts";
import { type Containerd, startContainerd } from "../harness/containerd.ts";
import { type Containers, openContainers, type PlannedContainer } from "../harness/containers.ts";
import { type Docker, startDocker } from "../harness/docker.ts";
import { ensureImage } from "../harness/images.ts";
import { expectNothingLeft } from "../harness/leaks.ts";
import { imageReference } from "../harness/loaded-docker.ts";
import { openPodman, type Podman } from "../harness/podman.ts";
import type { Call } from "../harness/runtime.ts";

setDefaultTimeout(120_000);

const NEWER = "97.0.0";
const OLDER = "0.0.1";
const LOOP = [
  "bash",
  "-c",
  "trap 'echo got TERM; exit 9' TERM; echo ready; while :; do echo >> /count; sleep 0.1; done",
];
const debian = imageReference("debian");
/** The full name, as `ctr` knows no other. */
const full = `docker.io/${debian}:latest`;

let checkout: Checkout;
/** Its `dist` is the installation that all clients use. */
let home: BunnyHome;
let prefix: string;
let containers: Containers;
let docker: Docker;
let podman: Podman;
let containerd: Containerd;
let archive: string;

beforeAll(async () => {
  archive = (await ensureImage("debian")).archive;
  checkout = copyCheckout(mkdtempSync(join(tmpdir(), "ur-checkout-")));
  home = await makeBunnyHome("root");
  prefix = join(home.directory, "dist");
  const program = join(prefix, "bin/urunc");
  containers = await openContainers("debian", program);
  docker = await startDocker({ name: "upgrade", runtime: program });
  podman = await openPodman(program);
  containerd = await startContainerd("upgrade", program);
  await docker.succeed(["load", "--input", archive]);
  await podman.succeed(["load", "--input", archive]);
  await containerd.succeed(["images", "import", archive]);
  await home.succeed("copy", `docker-archive:${archive}`, "debian");
}, 600_000);

afterAll(async () => {
  // Each, whatever becomes of the others.
  const ends = [containers?.close, docker?.stop, podman?.stop, containerd?.stop, home?.remove];
  const failures: unknown[] = [];
  for (const end of ends) await end?.().catch((error: unknown) => failures.push(error));
  checkout?.remove();
  if (failures.length > 0) throw new AggregateError(failures);
  const opened = [docker?.layout, podman, containerd?.layout, home];
  await expectNothingLeft(opened.flatMap((one) => (one === undefined ? [] : [one.directory])));
}, 300_000);

/** Another version by the installer, in the place of what is there. */
async function install(version: string, optimisation: "-O1" | "-O2"): Promise<void> {
  const files = ["urunit", "urunc-standin", "bunny-keeper", "initramfs.cpio"];
  const digests = () => files.map((name) => Bun.hash(readFileSync(join(prefix, "share/urunc", name))));
  const before = digests();
  checkout.change(version, optimisation);
  await checkout.install(prefix);
  const after = digests();
  expect(files.filter((_, index) => before[index] === after[index])).toEqual([]);
  expect((await command([join(prefix, "bin/urunc"), "--version"])).stdout).toContain(version);
}

/** A machine of one client: what it is asked before and after. */
interface Machine {
  /** Standard output of a command in it. */
  exec(...words: string[]): Promise<string>;
  logs(): Promise<string>;
  /** Ends it with SIGTERM; gives its exit status. */
  end(): Promise<number>;
  /** Removes it; fails if anything is left. */
  remove(): Promise<void>;
}

const CLIENTS: Record<string, () => Promise<Machine>> = {
  "urunc alone": async () => {
    const container = await containers.plan(LOOP);
    const call = await containers.create(container);
    await containers.runtime.succeed(["start", container.id]);
    return machineOf(container, call);
  },
  docker: async () => {
    const id = await docker.succeed(["run", "--detach", "--runtime", "urunc", debian, ...LOOP]);
    return {
      exec: (...words) => docker.succeed(["exec", id, ...words]),
      logs: () => docker.succeed(["logs", id]),
      async end() {
        const ended = docker.succeed(["wait", id]);
        await docker.succeed(["stop", "--time", "60", id]);
        return Number(await ended);
      },
      async remove() {
        await docker.succeed(["rm", id]);
        await expectNothingLeft([id], [join(docker.layout.directory, "docker-state")]);
      },
    };
  },
  podman: async () => {
    const id = await podman.succeed(["run", "--detach", `localhost/${debian}`, ...LOOP]);
    return {
      exec: (...words) => podman.succeed(["exec", id, ...words]),
      logs: () => podman.succeed(["logs", id]),
      async end() {
        await podman.succeed(["stop", "--time", "60", id]);
        return Number(await podman.succeed(["inspect", "--format", "{{.State.ExitCode}}", id]));
      },
      async remove() {
        await podman.succeed(["rm", id]);
        await expectNothingLeft([id], [join(podman.directory, "run")]);
      },
    };
  },
  ctr: async () => {
    const id = `machine-${Bun.randomUUIDv7()}`;
    const log = join(containerd.layout.directory, `${id}.log`);
    const runtime = ["--runtime", "io.containerd.urunc.v2"];
    const flags = ["--detach", "--log-uri", `file://${log}`, ...runtime];
    await containerd.succeed(["run", ...flags, full, id, ...LOOP]);
    const fifos = ["--fifo-dir", join(containerd.layout.directory, "fifos")];
    return {
      exec: (...words) =>
        containerd.succeed(["tasks", "exec", ...fifos, "--exec-id", Bun.randomUUIDv7(), id, ...words]),
      logs: async () => readFileSync(log, "utf8"),
      async end() {
        await containerd.succeed(["tasks", "kill", id]);
        await until("it has stopped", async () => {
          return new RegExp(`^${id} .*STOPPED`, "m").test(await containerd.succeed(["tasks", "list"]));
        });
        const { stdout, stderr } = await containerd.run(["tasks", "delete", id]);
        return Number(/exit code (\d+)/.exec(stdout + stderr)?.[1] ?? 0);
      },
      async remove() {
        await containerd.succeed(["containers", "delete", id]);
        const state = join(containerd.layout.directory, "containerd-state");
        await expectNothingLeft([`/${id}`], [state, containerd.runtimeRoot]);
      },
    };
  },
  "bunny run": async () => {
    const id = await home.succeed("run", "-d", "debian", ...LOOP);
    return {
      exec: (...words) => home.succeed("exec", id, ...words),
      logs: () => home.succeed("logs", id),
      async end() {
        await home.succeed("stop", "--time", "60", id);
        return Number(await home.succeed("wait", id));
      },
      async remove() {
        await home.succeed("rm", id);
        await expectNothingLeft([id], [home.directory]);
      },
    };
  },
};

function start(client: string): Promise<Machine> {
  const one = CLIENTS[client];
  if (one === undefined) throw new Error(`no client is called ${client}`);
  return one();
}

function machineOf({ id }: PlannedContainer, call: Call): Machine {
  const { runtime } = containers;
  return {
    exec: async (...words) => (await runtime.succeed(["exec", id, ...words])).stdout.trimEnd(),
    logs: async () => call.output().stdout,
    async end() {
      await runtime.succeed(["kill", id, "TERM"]);
      await runtime.untilStatus(id, "stopped");
      // The runtime tells nobody the status: the program's last word has to do.
      return call.output().stdout.endsWith("got TERM\n") ? 9 : Number.NaN;
    },
    async remove() {
      await runtime.succeed(["delete", id]);
      await containers.expectGone(id);
    },
  };
}

async function untilReady(machine: Machine): Promise<void> {
  await until("it is ready", async () => (await machine.logs()).includes("ready"));
}

/** It has gone on all the time, can be looked into, ends as it should, and is gone then. */
async function expectUndisturbed(machine: Machine): Promise<void> {
  const count = async () => Number((await machine.exec("wc", "-l", "/count")).split(" ")[0]);
  const before = await count();
  await until("it counts on", async () => (await count()) > before);
  expect(await machine.exec("uname", "-r")).toEndWith("-urunc");
  expect(await machine.end()).toBe(9);
  expect(await machine.logs()).toContain("ready\ngot TERM");
  await machine.remove();
}

describe.each([
  ["newer", NEWER, "-O1", Object.keys(CLIENTS)],
  ["older", OLDER, "-O2", ["docker"]],
] as const)("a %s version is installed under running machines", (_, version, optimisation, clients) => {
  const machines = new Map<string, Machine>();
  let created: PlannedContainer;
  let createdCall: Call;
  /** An exec of each kind that the new installation finds under way. */
  let longExec: Promise<{ stdout: string; exitCode: number }>;

  beforeAll(async () => {
    await Promise.all(
      clients.map(async (client) => {
        const machine = await start(client);
        machines.set(client, machine);
        await untilReady(machine);
      }),
    );
    created = await containers.plan(["sh", "-c", "echo begun; exec sleep 1000"]);
    createdCall = await containers.create(created);
    const id = await docker.succeed(["ps", "--quiet", "--latest"]);
    longExec = docker.run([
      "exec",
      id,
      "sh",
      "-c",
      "touch /begun; while ! [ -e /go ]; do sleep 0.1; done; exit 5",
    ]);
    await until(
      "the exec runs",
      async () => (await docker.run(["exec", id, "test", "-e", "/begun"])).exitCode === 0,
    );
    await install(version, optimisation);
    await docker.succeed(["exec", id, "touch", "/go"]);
  }, 300_000);

  test("an exec that was under way ends with its own status", async () => {
    expect((await longExec).exitCode).toBe(5);
  });

  test("a container that was created, and not started yet, starts", async () => {
    const { runtime } = containers;
    await runtime.succeed(["start", created.id]);
    await until("it has begun", () => createdCall.output().stdout === "begun\n");
    await runtime.succeed(["exec", created.id, "true"]);
    await runtime.succeed(["delete", "--force", created.id]);
    await containers.expectGone(created.id);
  });

  for (const client of clients) {
    test(`${client}: a new machine beside the one that ran, which goes on, and both end and are gone`, async () => {
      const old = machines.get(client);
      if (old === undefined) throw new Error(`no machine of ${client}`);
      const beside = await start(client);
      await untilReady(beside);
      await Promise.all([expectUndisturbed(old), expectUndisturbed(beside)]);
    });
  }
});
