// What becomes of machines when daemons are killed, when everything is, and when the host boots again.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { copyFileSync, existsSync, readdirSync, readFileSync, readlinkSync, rmSync } from "node:fs";
import { join } from "node:path";
import { type BunnyHome, makeBunnyHome } from "../harness/bunny.ts";
import { until } from "../harness/command.ts";
import { type Docker, startDocker } from "../harness/docker.ts";
import { ensureImage } from "../harness/images.ts";
import { expectNothingLeft } from "../harness/leaks.ts";
import { imageReference } from "../harness/loaded-docker.ts";
import { runtimePath } from "../harness/runtime.ts";

setDefaultTimeout(120_000);

const debian = imageReference("debian");
const LOOP = ["bash", "-c", "trap 'exit 9' TERM; echo ready; while :; do sleep 0.1; done"];

function openDocker(name: string, liveRestore: boolean): () => Docker {
  let docker: Docker | undefined;
  beforeAll(async () => {
    const { archive } = await ensureImage("debian");
    docker = await startDocker({ name, runtime: runtimePath, liveRestore });
    await docker.succeed(["load", "--input", archive]);
  }, 600_000);
  afterAll(async () => {
    if (docker === undefined) return;
    await docker.stop();
    await expectNothingLeft([docker.layout.directory, docker.cgroup]);
  }, 120_000);
  return () => {
    if (docker === undefined) throw new Error("Docker was not started");
    return docker;
  };
}

/**
 * A user's machines and their keepers: processes that have the directory in their command line or environment, or among
 * the mounts of a namespace that is not ours.
 */
function processesOf(directory: string): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .map(Number)
    .filter((pid) => {
      try {
        const isElsewhere = readlinkSync(`/proc/${pid}/ns/mnt`) !== readlinkSync("/proc/self/ns/mnt");
        const files = ["cmdline", "environ", ...(isElsewhere ? ["mountinfo"] : [])];
        const texts = files.map((name) => readFileSync(`/proc/${pid}/${name}`, "latin1"));
        return texts.some((text) => text.includes(directory));
      } catch {
        return false;
      }
    });
}

/** `docker run --detach`; gives the id once the program has begun. */
async function detach(docker: Docker, flags: readonly string[], words = LOOP): Promise<string> {
  const id = await docker.succeed(["run", "--detach", "--runtime", "urunc", ...flags, debian, ...words]);
  await until(`${id} is ready`, async () => (await docker.run(["logs", id])).stdout.includes("ready"));
  return id;
}

function inspect(docker: Docker, id: string, format: string): Promise<string> {
  return docker.succeed(["inspect", "--format", format, id]);
}

async function expectMachine(docker: Docker, id: string): Promise<void> {
  expect(await docker.succeed(["exec", id, "uname", "-r"])).toEndWith("-urunc");
}

async function remove(docker: Docker, ...ids: string[]): Promise<void> {
  await docker.succeed(["rm", "--force", "--volumes", ...ids]);
  await expectNothingLeft(ids, [join(docker.layout.directory, "docker-state")]);
}

describe("Docker with live-restore", () => {
  const docker = openDocker("restore", true);
  /** Ends with 6 as soon as the host makes the file. */
  const UNTIL_TOLD = [
    "sh",
    "-c",
    "echo ready; while ! [ -e /told/now ]; do sleep 0.1; done; echo told; exit 6",
  ];

  for (const daemon of ["dockerd", "containerd"] as const) {
    test(`${daemon} is killed: machines go on, can be entered, and their ends are told`, async () => {
      const volume = `told-${daemon}`;
      const [stays, ends] = [
        await detach(docker(), []),
        await detach(docker(), ["--volume", `${volume}:/told`], UNTIL_TOLD),
      ];
      const pid = await inspect(docker(), stays, "{{.State.Pid}}");
      await docker().carryOut(`kill ${daemon}`);
      await until("Docker knows the machine", async () => {
        return (await docker().run(["exec", stays, "true"])).exitCode === 0;
      });
      expect(await inspect(docker(), stays, "{{.State.Running}} {{.State.Pid}}")).toBe(`true ${pid}`);
      await expectMachine(docker(), stays);
      await docker().succeed(["exec", ends, "touch", "/told/now"]);
      expect(await docker().succeed(["wait", ends])).toBe("6");
      await until("the last line is in the log", async () => {
        return (await docker().succeed(["logs", ends])) === "ready\ntold";
      });
      const told = docker().succeed(["wait", stays]);
      await docker().succeed(["stop", "--time", "60", stays]);
      expect(await told).toBe("9");
      await remove(docker(), stays, ends);
      await docker().succeed(["volume", "rm", "--force", volume]);
    });
  }

  test("a machine that ends while dockerd is away is told of by the next dockerd", async () => {
    const id = await detach(docker(), [], ["bash", "-c", "echo ready; sleep 1; exit 7"]);
    await docker().carryOut("kill dockerd");
    await until(
      "its end is known",
      async () => (await inspect(docker(), id, "{{.State.Status}}")) === "exited",
    );
    expect(await inspect(docker(), id, "{{.State.ExitCode}}")).toBe("7");
    await remove(docker(), id);
  });
});

describe("Docker without live-restore", () => {
  const docker = openDocker("unclean", false);

  for (const [command, what] of [
    ["kill all", "every process is killed"],
    ["reboot", "the host loses its power"],
  ] as const) {
    test(`${what}: machines start again as their policy says, and the rest can be started or removed`, async () => {
      const [always, unlessStopped, never, removed] = [
        await detach(docker(), ["--restart", "always", "--volume", "/kept"]),
        await detach(docker(), ["--restart", "unless-stopped"]),
        await detach(docker(), []),
        await detach(docker(), []),
      ];
      await docker().succeed([
        "exec",
        always,
        "sh",
        "-c",
        "echo written > /kept/file; echo too > /file; sync",
      ]);
      await docker().carryOut(command);
      for (const id of [always, unlessStopped]) {
        await until(`${id} runs again`, async () => {
          return (await docker().run(["exec", id, "true"])).exitCode === 0;
        });
        await expectMachine(docker(), id);
      }
      expect(await docker().succeed(["exec", always, "cat", "/kept/file", "/file"])).toBe("written\ntoo");
      expect(await inspect(docker(), never, "{{.State.Running}}")).toBe("false");
      await docker().succeed(["start", never]);
      await until("it runs", async () => (await docker().run(["exec", never, "true"])).exitCode === 0);
      await remove(docker(), always, unlessStopped, never, removed);
    });
  }
});

describe("bunny without a daemon, after the host has lost its power", () => {
  let home: BunnyHome;

  beforeAll(async () => {
    const { archive } = await ensureImage("debian");
    home = await makeBunnyHome("an ordinary user");
    const copy = join(home.directory, "image.tar");
    copyFileSync(archive, copy);
    await home.succeed("copy", `docker-archive:${copy}`, "debian");
  }, 600_000);

  afterAll(async () => {
    await home?.remove();
    if (home !== undefined) await expectNothingLeft([home.directory]);
  }, 120_000);

  /** All processes at once, and what is kept in memory only. */
  async function loseThePower(): Promise<void> {
    await until("nothing runs", () => {
      const left = processesOf(home.directory);
      for (const pid of left) {
        try {
          process.kill(pid, "SIGKILL");
        } catch {
          // It has ended with another.
        }
      }
      return left.length === 0;
    });
    const memory = home.environment["XDG_RUNTIME_DIR"] as string;
    for (const name of readdirSync(memory)) rmSync(join(memory, name), { recursive: true });
  }

  test("machines have ended with 137, keep their log, and start again; those of --rm are gone", async () => {
    const kept = await home.succeed("run", "-d", "--name", "kept", "debian", ...LOOP);
    const gone = await home.succeed("run", "-d", "--rm", "debian", ...LOOP);
    for (const id of [kept, gone])
      await until("it is ready", async () => (await home.succeed("logs", id)) === "ready");
    await loseThePower();
    expect(await home.succeed("ps", "-q")).toBe("");
    expect(await home.succeed("ps", "-a", "-q", "--no-trunc")).toBe(kept);
    expect(existsSync(join(home.machines, gone))).toBe(false);
    expect(await home.succeed("wait", "kept")).toBe("137");
    expect(await home.succeed("logs", "kept")).toBe("ready");
    await home.succeed("start", "kept");
    expect(await home.succeed("exec", "kept", "uname", "-r")).toEndWith("-urunc");
    await home.succeed("rm", "-f", "kept");
    await expectNothingLeft([kept, gone], [home.directory]);
  });

  test("a root that was half made is made anew", async () => {
    const [root, ...more] = readdirSync(home.roots);
    expect([root === undefined, more]).toEqual([false, []]);
    const directory = join(home.roots, root as string);
    const whole = readdirSync(directory);
    // What says that it is whole comes last.
    rmSync(join(directory, "accounts.json"));
    expect(await home.succeed("run", "--rm", "debian", "echo", "hello")).toBe("hello");
    expect(readdirSync(directory).sort()).toEqual(whole.sort());
  });
});
