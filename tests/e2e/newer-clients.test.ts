// Clients newer than Debian 12's, where this machine has them: in the PATH, or in the directory of URUNC_TEST_CLIENTS.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { command, until } from "../harness/command.ts";
import { type Containerd, startContainerd } from "../harness/containerd.ts";
import { openContainers } from "../harness/containers.ts";
import { type Docker, startDocker } from "../harness/docker.ts";
import { ensureImage } from "../harness/images.ts";
import { expectNothingLeft } from "../harness/leaks.ts";
import { imageReference } from "../harness/loaded-docker.ts";
import { outputOf as output, runNerdctl } from "../harness/nerdctl.ts";
import { allOf, directoryOf, findNewer, type NewerProgram } from "../harness/newer-clients.ts";
import { runtimePath } from "../harness/runtime.ts";

setDefaultTimeout(120_000);

const URUNC = ["--runtime", "io.containerd.urunc.v2"];
const LOOP = ["bash", "-c", "trap 'exit 9' TERM; echo ready; while :; do sleep 0.1; done"];
const debian = imageReference("debian");
/** The full name, as `ctr` and `nerdctl` have it. */
const full = `docker.io/${debian}:latest`;

const newer = {
  containerd: findNewer("containerd", "2.0"),
  ctr: findNewer("ctr", "2.0"),
  shim: findNewer("containerd-shim-runc-v2", "2.0"),
  runc: findNewer("runc", "1.2"),
  dockerd: findNewer("dockerd", "23.0"),
  docker: findNewer("docker", "23.0"),
  proxy: findNewer("docker-proxy", "23.0"),
  nerdctl: findNewer("nerdctl", "2.0"),
};

const ofContainerd = allOf(newer.containerd, newer.ctr, newer.shim);
// Docker 29 asks for a namespace of the time, which the engine knows since 1.2.
const ofDocker = allOf(newer.dockerd, newer.docker, newer.proxy, newer.runc);
const directories: string[] = [];

function programs(...found: readonly (readonly NewerProgram[] | undefined)[]): string {
  const directory = directoryOf(found.flatMap((some) => some ?? []));
  directories.push(directory);
  return directory;
}

afterAll(() => {
  for (const directory of directories) rmSync(directory, { recursive: true, force: true });
});

describe("containerd 2", () => {
  const missing = ofContainerd === undefined;
  let containerd: Containerd;
  let ids = 0;
  const newId = () => `newer-${++ids}`;

  beforeAll(async () => {
    if (missing) return;
    const { archive } = await ensureImage("debian");
    containerd = await startContainerd("newer", runtimePath, { programs: programs(ofContainerd) });
    await containerd.succeed(["images", "import", archive]);
  }, 600_000);

  afterAll(async () => {
    if (containerd === undefined) return;
    await containerd.stop();
    await expectNothingLeft([containerd.layout.directory, containerd.namespace], ["/run/containerd/runc"]);
  }, 120_000);

  const status = async (id: string) => {
    const lines = (await containerd.succeed(["tasks", "list"])).split("\n").map((line) => line.split(/ +/));
    return lines.find(([name]) => name === id)?.[2];
  };

  test.skipIf(missing)("ctr run: kernel, streams, exit status", async () => {
    expect(await containerd.succeed(["version"])).toContain(newer.containerd?.version as string);
    const script = "uname -r; echo err >&2; exit 7";
    const run = ["run", "--rm", "--snapshotter", "overlayfs", ...URUNC, full, newId(), "sh", "-c", script];
    const result = await containerd.run(run);
    expect(result.stdout).toMatch(/^\S+-urunc\n$/);
    expect(result.stderr).toEndWith("err\n");
    expect(result.exitCode).toBe(7);
  });

  test.skipIf(missing)("exec, pause, resume, metrics, a restart of containerd, kill, delete", async () => {
    const id = newId();
    await containerd.succeed(["run", "--detach", "--null-io", ...URUNC, full, id, ...LOOP]);
    const fifos = ["--fifo-dir", join(containerd.layout.directory, "fifos")];
    const exec = (...words: string[]) =>
      containerd.run(["tasks", "exec", ...fifos, "--exec-id", newId(), id, ...words]);
    const added = await exec("sh", "-c", "echo out; echo err >&2; exit 3");
    expect(added).toMatchObject({ stdout: "out\n", exitCode: 3 });
    // Before it are the client's own warnings, as of a host with control groups of version 1.
    expect(added.stderr).toEndWith("err\n");
    await containerd.succeed(["tasks", "pause", id]);
    expect(await status(id)).toBe("PAUSED");
    await containerd.succeed(["tasks", "resume", id]);
    const metrics = JSON.parse(await containerd.succeed(["tasks", "metrics", "--format", "json", id]));
    expect(JSON.stringify(metrics)).toContain("memory");
    await containerd.restart();
    expect(await status(id)).toBe("RUNNING");
    expect((await exec("uname", "-r")).stdout).toMatch(/-urunc\n$/);
    await containerd.succeed(["tasks", "kill", id]);
    await until("it has stopped", async () => (await status(id)) === "STOPPED");
    const { stdout, stderr } = await containerd.run(["tasks", "delete", id]);
    expect(stdout + stderr).toContain("9");
    await containerd.succeed(["containers", "delete", id]);
    const state = join(containerd.layout.directory, "containerd-state");
    await expectNothingLeft([`/${id}`], [state, containerd.runtimeRoot]);
  });
});

describe("Docker 23 and newer, with nothing registered", () => {
  const missing = ofDocker === undefined;
  let docker: Docker;

  beforeAll(async () => {
    if (missing) return;
    const { archive } = await ensureImage("debian");
    docker = await startDocker({
      name: "newer",
      runtime: runtimePath,
      programs: programs(ofDocker, ofContainerd),
    });
    await docker.succeed(["load", "--input", archive]);
  }, 600_000);

  afterAll(async () => {
    if (docker === undefined) return;
    await docker.stop();
    await expectNothingLeft([docker.layout.directory, docker.cgroup]);
  }, 120_000);

  for (const [how, runtime] of [
    ["by containerd's name", "io.containerd.urunc.v2"],
    ["registered by its path", "urunc"],
  ] as const) {
    test.skipIf(missing)(`docker run ${how}: kernel, streams, exit status`, async () => {
      expect(await docker.succeed(["version", "--format", "{{.Server.Version}}"])).toBe(
        newer.dockerd?.version as string,
      );
      const script = "uname -r; echo err >&2; exit 7";
      const result = await docker.run(["run", "--rm", "--runtime", runtime, debian, "sh", "-c", script]);
      expect(result.stdout).toMatch(/^\S+-urunc\n$/);
      expect(result).toMatchObject({ stderr: "err\n", exitCode: 7 });
    });

    test.skipIf(missing)(
      `a machine in the background ${how}: exec, logs, stats, pause, restart, stop, rm`,
      async () => {
        const id = await docker.succeed(["run", "--detach", "--runtime", runtime, debian, ...LOOP]);
        const untilReady = () =>
          until("it is ready", async () => (await docker.succeed(["logs", id])).includes("ready"));
        await untilReady();
        const result = await docker.run(["exec", id, "sh", "-c", "uname -r; exit 4"]);
        expect(result.stdout).toMatch(/-urunc\n$/);
        expect(result.exitCode).toBe(4);
        expect(await docker.succeed(["stats", "--no-stream", "--format", "{{.MemUsage}}", id])).toMatch(
          /[KMG]iB/,
        );
        await docker.succeed(["pause", id]);
        await docker.succeed(["unpause", id]);
        await docker.succeed(["restart", "--time", "60", id]);
        await until(
          "it was started again",
          async () => (await docker.succeed(["logs", id])) === "ready\nready",
        );
        const ended = docker.succeed(["wait", id]);
        await docker.succeed(["stop", "--time", "60", id]);
        expect(await ended).toBe("9");
        await docker.succeed(["rm", id]);
        await expectNothingLeft([id], [join(docker.layout.directory, "docker-state")]);
      },
    );
  }

  test.skipIf(missing)("a port that is published leads to the machine", async () => {
    const server = await ensureImage("nginx");
    await docker.succeed(["load", "--input", server.archive]);
    const id = await docker.succeed([
      ...["run", "--detach", "--runtime", "io.containerd.urunc.v2", "--publish", "127.0.0.1:8080:80"],
      imageReference("nginx"),
    ]);
    const fetch = docker.inNetwork(["curl", "--silent", "--max-time", "5", "http://127.0.0.1:8080/"]);
    await until("nginx answers", async () => (await command(fetch)).stdout.includes("nginx"));
    await docker.succeed(["rm", "--force", id]);
  });
});

describe("runc 1.2 and newer as the engine", () => {
  const missing = newer.runc === undefined;
  test.skipIf(missing)("create, start, exec, pause, resume, update, kill, delete", async () => {
    const containers = await openContainers("debian");
    try {
      const file = join(containers.runtime.directory, "config.toml");
      writeFileSync(file, `[runtime]\nengine = ${JSON.stringify(newer.runc?.path)}\n`);
      const env = { ...(process.env as Record<string, string>), URUNC_CONFIG_FILE: file };
      const { runtime } = containers;
      const container = await containers.plan(LOOP);
      const { id } = container;
      const call = await containers.create(container, { env });
      await runtime.succeed(["start", id], { env });
      await until("it is ready", () => call.output().stdout === "ready\n");
      const added = await runtime.call(["exec", id, "sh", "-c", "uname -r; exit 5"], { env });
      expect(added.stdout).toMatch(/-urunc\n$/);
      expect(added.exitCode).toBe(5);
      for (const verb of ["pause", "resume"]) await runtime.succeed([verb, id], { env });
      await runtime.succeed(["update", "--cpu-share", "512", id], { env });
      expect((await runtime.succeed(["ps", id], { env })).stdout).toContain("sleep");
      await runtime.succeed(["kill", id, "TERM"], { env });
      await until("it has stopped", async () =>
        (await runtime.succeed(["state", id], { env })).stdout.includes('"stopped"'),
      );
      await runtime.succeed(["delete", id], { env });
      await containers.expectGone(id);
    } finally {
      await containers.close();
    }
  });
});

describe("nerdctl", () => {
  const missing = newer.nerdctl === undefined;
  let containerd: Containerd;

  beforeAll(async () => {
    if (missing) return;
    const { archive } = await ensureImage("debian");
    containerd = await startContainerd("nerdctl", runtimePath, { programs: programs(ofContainerd) });
    output("nerdctl load", await nerdctl("load", "--input", archive));
  }, 600_000);

  afterAll(async () => {
    if (containerd === undefined) return;
    await containerd.stop();
    await expectNothingLeft([containerd.layout.directory, containerd.namespace], ["/run/containerd/runc"]);
  }, 120_000);

  const nerdctl = (...words: string[]) => runNerdctl(newer.nerdctl, containerd, words);

  test.skipIf(missing)("the guide's command: kernel, streams, exit status", async () => {
    const script = "uname -r; echo err >&2; exit 7";
    const result = await nerdctl(
      ...["run", "--rm", "--snapshotter", "overlayfs", ...URUNC, full, "sh", "-c", script],
    );
    expect(result.stdout).toMatch(/^\S+-urunc\n$/);
    expect(result.stderr).toContain("err\n");
    expect(result.exitCode).toBe(7);
  });

  test.skipIf(missing)("a machine in the background: exec, logs, stop, rm", async () => {
    const id = output("nerdctl run", await nerdctl("run", "--detach", ...URUNC, full, ...LOOP));
    await until("it is ready", async () => (await nerdctl("logs", id)).stdout.includes("ready"));
    const result = await nerdctl("exec", id, "sh", "-c", "uname -r; exit 4");
    expect(result.stdout).toMatch(/-urunc\n$/);
    expect(result.stderr).toContain("exec failed with exit code 4");
    expect(output("nerdctl stats", await nerdctl("stats", "--no-stream", id))).toMatch(/[KMG]iB \//);
    output("nerdctl pause", await nerdctl("pause", id));
    expect(output("nerdctl ps", await nerdctl("ps", "--all"))).toContain("Paused");
    output("nerdctl unpause", await nerdctl("unpause", id));
    output("nerdctl stop", await nerdctl("stop", "--time", "60", id));
    expect(output("nerdctl inspect", await nerdctl("inspect", "--format", "{{.State.ExitCode}}", id))).toBe(
      "9",
    );
    output("nerdctl rm", await nerdctl("rm", id));
    await expectNothingLeft([id], [containerd.runtimeRoot]);
  });

  test.skipIf(missing)("ports that are published and names of a network", async () => {
    const server = await ensureImage("nginx");
    output("nerdctl load", await nerdctl("load", "--input", server.archive));
    output("nerdctl network", await nerdctl("network", "create", "urunc-newer"));
    const image = `docker.io/${imageReference("nginx")}:latest`;
    const publish = ["--publish", "127.0.0.1:8080:80", "--network", "urunc-newer", "--name", "web"];
    output("nerdctl run", await nerdctl("run", "--detach", ...URUNC, ...publish, image));
    const fetch = containerd.inNetwork(["curl", "--silent", "--max-time", "5", "http://127.0.0.1:8080/"]);
    await until("nginx answers", async () => (await command(fetch)).stdout.includes("nginx"));
    const other = ["run", "--rm", "--network", "urunc-newer", ...URUNC, full, "getent", "hosts", "web"];
    expect(output("nerdctl run", await nerdctl(...other))).toMatch(/^10\.\S+ .*\bweb\b/);
    output("nerdctl rm", await nerdctl("rm", "--force", "web"));
    output("nerdctl network", await nerdctl("network", "rm", "urunc-newer"));
  });
});
