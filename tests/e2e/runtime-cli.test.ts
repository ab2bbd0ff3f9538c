import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { command, until } from "../harness/command.ts";
import { type Containers, openContainers } from "../harness/containers.ts";
import { processName } from "../harness/leaks.ts";
import { type ContainerState, runsMachines, runtimePath } from "../harness/runtime.ts";

setDefaultTimeout(90_000);

let containers: Containers;
const LOOP =
  "trap 'echo got TERM; exit 9' TERM; trap 'echo got USR1' USR1; echo ready; while :; do sleep 0.1; done";

beforeAll(async () => {
  containers = await openContainers("busybox");
}, 300_000);

afterAll(async () => {
  await containers?.close();
}, 120_000);

describe("run", () => {
  test("gives the application's streams and exit status, and leaves nothing", async () => {
    const { id, bundle } = await containers.plan(["sh", "-c", "echo out; echo err >&2; uname -r; exit 42"]);
    const result = await containers.runtime.call(["run", "--bundle", bundle.directory, id]);
    expect(result.exitCode).toBe(42);
    const [out, kernel] = result.stdout.split("\n");
    expect(out).toBe("out");
    expect(result.stderr).toBe("err\n");
    if (runsMachines) expect(kernel).toEndWith("-urunc");
    await containers.expectGone(id);
  });

  test("takes the current directory as the bundle", async () => {
    const { id, bundle } = await containers.plan(["echo", "here"]);
    const result = await containers.runtime.succeed(["run", id], { cwd: bundle.directory });
    expect(result.stdout).toBe("here\n");
  });

  test("gives standard input to the application", async () => {
    const { id, bundle } = await containers.plan(["sha256sum"]);
    const input = join(bundle.directory, "input");
    writeFileSync(input, "0123456789".repeat(50_000));
    const hash = new Bun.CryptoHasher("sha256").update(readFileSync(input)).digest("hex");
    const result = await containers.runtime.succeed(["run", "--bundle", bundle.directory, id], {
      stdinPath: input,
    });
    expect(result.stdout).toBe(`${hash}  -\n`);
  });

  test("a bundle's path may have spaces and letters of any script", async () => {
    const { id, bundle } = await containers.plan(["cat", "/mark"]);
    writeFileSync(join(bundle.rootfs, "mark"), "found\n");
    const directory = join(containers.runtime.directory, "a bundle, größer: 世界 🚀");
    renameSync(bundle.directory, directory);
    const result = await containers.runtime.succeed(["run", "--bundle", directory, id]);
    expect(result.stdout).toBe("found\n");
    await containers.expectGone(id);
  });

  test.if(runsMachines)("--config names another file of the bundle, as crun has it", async () => {
    const { id, bundle } = await containers.plan(["echo", "the usual"]);
    const config = structuredClone(bundle.config);
    config.process.args = ["echo", "another"];
    writeFileSync(join(bundle.directory, "other.json"), JSON.stringify(config));
    const words = ["run", "--config", "other.json", "--bundle", bundle.directory, id];
    expect((await containers.runtime.succeed(words)).stdout).toBe("another\n");
    const missing = await containers.runtime.call([
      "run",
      "--config",
      "no.json",
      "--bundle",
      bundle.directory,
      id,
    ]);
    expect(missing.exitCode).toBe(1);
    expect(missing.stderr).toContain("no.json does not exist");
    await containers.expectGone(id);
  });

  test("--detach returns while the application runs; --keep keeps what has ended", async () => {
    const { id, bundle } = await containers.plan(["sh", "-c", LOOP]);
    const pidFile = join(bundle.directory, "pid");
    const words = ["run", "--detach", "--pid-file", pidFile, "--bundle", bundle.directory, id];
    const call = await containers.runtime.succeed(words);
    const state = await containers.runtime.state(id);
    expect(state.status).toBe("running");
    expect(readFileSync(pidFile, "utf8").trim()).toBe(String(state.pid));
    await until("it is ready", () => call.output().stdout.includes("ready"));
    await containers.runtime.succeed(["kill", id, "TERM"]);
    await containers.runtime.untilStatus(id, "stopped");
    expect(call.output().stdout).toBe("ready\ngot TERM\n");
    await containers.runtime.succeed(["delete", id]);
    await containers.expectGone(id);

    const kept = await containers.plan(["true"]);
    await containers.runtime.succeed(["run", "--keep", "--bundle", kept.bundle.directory, kept.id]);
    expect((await containers.runtime.state(kept.id)).status).toBe("stopped");
    await containers.runtime.succeed(["delete", kept.id]);
    await containers.expectGone(kept.id);
  });

  test("a signal to run reaches the application", async () => {
    const { id, bundle } = await containers.plan(["sh", "-c", LOOP]);
    const call = containers.runtime.begin(["run", "--bundle", bundle.directory, id]);
    await until("it is ready", async () => {
      const state = await containers.runtime.call(["state", id]);
      return state.exitCode === 0 && (JSON.parse(state.stdout) as ContainerState).status === "running";
    });
    // Running is not yet ready: the application sets its traps first.
    const repeat = setInterval(() => process.kill(call.pid, "SIGTERM"), 500);
    const result = await call.ended.finally(() => clearInterval(repeat));
    expect(result.exitCode).toBe(9);
    expect(result.stdout).toContain("got TERM");
    await containers.expectGone(id);
  });
});

describe("create, start, state, kill, delete", () => {
  test("a container goes through its states", async () => {
    const { runtime } = containers;
    const container = await containers.plan(["sh", "-c", LOOP], (config) => {
      config.annotations = { "org.example.key": "välue" };
    });
    const { id, bundle } = container;
    const pidFile = join(bundle.directory, "pid");
    const call = await runtime.succeed(["create", "--pid-file", pidFile, "--bundle", bundle.directory, id]);
    const pid = Number(readFileSync(pidFile, "utf8"));

    const created = await runtime.state(id);
    expect(created).toMatchObject({
      id,
      pid,
      status: "created",
      bundle: bundle.directory,
      rootfs: bundle.rootfs,
      annotations: { "org.example.key": "välue" },
      owner: "",
    });
    expect(created.ociVersion).toStartWith("1.0");
    expect(Number.isNaN(Date.parse(created.created ?? ""))).toBe(false);
    expect(call.output().stdout).toBe("");

    await runtime.succeed(["start", id]);
    if (runsMachines) expect(processName(pid)).toBe("urunc-standin");
    expect(await runtime.state(id)).toMatchObject({ id, pid, status: "running", bundle: bundle.directory });
    await until("it is ready", () => call.output().stdout.includes("ready\n"));

    await runtime.succeed(["kill", id, "SIGUSR1"]);
    await until("the signal arrives", () => call.output().stdout.includes("got USR1\n"));
    await runtime.succeed(["kill", id, "15"]);
    const stopped = await runtime.untilStatus(id, "stopped");
    expect(stopped).toMatchObject({ id, pid: 0, bundle: bundle.directory });
    expect(call.output()).toEqual({ stdout: "ready\ngot USR1\ngot TERM\n", stderr: "" });

    const late = await runtime.call(["kill", id, "TERM"]);
    expect(late.exitCode).toBe(1);
    await runtime.succeed(["delete", id]);
    const gone = await runtime.call(["state", id]);
    expect(gone.exitCode).toBe(1);
    expect(gone.stderr).toContain("does not exist");
    await containers.expectGone(id);
  });

  test("kill without a signal is TERM, and KILL ends at once", async () => {
    const { runtime } = containers;
    const container = await containers.plan(["sh", "-c", LOOP]);
    const call = await containers.create(container);
    await runtime.succeed(["start", container.id]);
    await until("it is ready", () => call.output().stdout.includes("ready\n"));
    await runtime.succeed(["kill", container.id]);
    await until("TERM arrives", () => call.output().stdout.includes("got TERM\n"));
    await runtime.untilStatus(container.id, "stopped");
    await runtime.succeed(["delete", container.id]);

    const deaf = await containers.plan(["sleep", "1000"]);
    await containers.create(deaf);
    await runtime.succeed(["start", deaf.id]);
    await runtime.succeed(["kill", deaf.id, "KILL"]);
    await runtime.untilStatus(deaf.id, "stopped");
    await runtime.succeed(["delete", deaf.id]);
    await containers.expectGone(deaf.id);
  });

  test("a container that was never started can be deleted", async () => {
    const container = await containers.plan(["true"]);
    await containers.create(container);
    await containers.runtime.succeed(["kill", container.id, "KILL"]);
    await containers.runtime.untilStatus(container.id, "stopped");
    await containers.runtime.succeed(["delete", container.id]);
    await containers.expectGone(container.id);

    const forced = await containers.plan(["true"]);
    await containers.create(forced);
    await containers.runtime.succeed(["delete", "--force", forced.id]);
    await containers.expectGone(forced.id);
  });

  test("delete --force of a container that does not exist succeeds, without it fails", async () => {
    const id = containers.runtime.newId();
    expect((await containers.runtime.call(["delete", "--force", id])).exitCode).toBe(0);
    const result = await containers.runtime.call(["delete", id]);
    expect(result.exitCode).toBe(1);
    expect(result.stderr).toContain("does not exist");
  });

  test("pause stops the machine, resume lets it go on", async () => {
    const { runtime } = containers;
    const container = await containers.plan([
      "sh",
      "-c",
      "i=0; while :; do echo $i; i=$((i+1)); sleep 0.1; done",
    ]);
    const call = await containers.create(container);
    await runtime.succeed(["start", container.id]);
    await until("it counts", () => call.output().stdout.includes("3\n"));
    await runtime.succeed(["pause", container.id]);
    expect((await runtime.state(container.id)).status).toBe("paused");
    await Bun.sleep(500);
    const before = call.output().stdout;
    await Bun.sleep(1500);
    expect(call.output().stdout).toBe(before);
    await runtime.succeed(["resume", container.id]);
    await until("it goes on", () => call.output().stdout.length > before.length);
    await runtime.succeed(["delete", "--force", container.id]);
    await containers.expectGone(container.id);
  });

  test("hooks of the host run at their moments", async () => {
    const { runtime } = containers;
    const seen = join(runtime.directory, "hooks");
    const hook = (name: string) => [
      {
        path: "/bin/sh",
        args: ["sh", "-c", `{ printf '${name} '; cat; echo; } | tr -d '\\n\\t' >> ${seen}; echo >> ${seen}`],
      },
    ];
    const container = await containers.plan(["true"], (config) => {
      config.hooks = {
        prestart: hook("prestart"),
        createRuntime: hook("createRuntime"),
        poststart: hook("poststart"),
        poststop: hook("poststop"),
      };
    });
    const names = () => {
      const lines = existsSync(seen) ? readFileSync(seen, "utf8").trim().split("\n") : [];
      for (const line of lines) expect(line).toContain(container.id);
      return lines.map((line) => line.split(" ")[0]);
    };
    await containers.create(container);
    // runc 1.1 runs poststart hooks too early, in create.
    expect(names().slice(0, 2)).toEqual(["prestart", "createRuntime"]);
    await runtime.succeed(["start", container.id]);
    expect(names()).toEqual(["prestart", "createRuntime", "poststart"]);
    await runtime.untilStatus(container.id, "stopped");
    await runtime.succeed(["delete", container.id]);
    expect(names()).toEqual(["prestart", "createRuntime", "poststart", "poststop"]);
  });
});

test.if(runsMachines)(
  "a container with the host's network gets user-mode networking, however it is asked for",
  async () => {
    for (const path of [undefined, "/proc/self/ns/net"]) {
      const { id, bundle } = await containers.plan(["ip", "-4", "-o", "address"], (config) => {
        config.linux.namespaces = config.linux.namespaces.filter(({ type }) => type !== "network");
        if (path !== undefined) config.linux.namespaces.push({ type: "network", path });
      });
      const { stdout } = await containers.runtime.succeed(["run", "--bundle", bundle.directory, id]);
      expect(stdout).toContain("10.0.2.15/24");
      expect(stdout.trim().split("\n").length).toBe(2);
      await containers.expectGone(id);
    }
  },
);

describe("list and roots", () => {
  test("list shows the containers of its root as a table, as ids and as JSON", async () => {
    const own = await openContainers("busybox");
    try {
      const { runtime } = own;
      expect((await runtime.succeed(["list", "--format", "json"])).stdout.trim()).toBe("null");
      expect((await runtime.succeed(["list"])).stdout.trim().split(/\s+/)).toEqual([
        ...["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"],
      ]);
      const one = await own.plan(["sleep", "1000"]);
      const two = await own.plan(["true"]);
      await own.create(one);
      await own.create(two);
      await runtime.succeed(["start", one.id]);
      const states = JSON.parse(
        (await runtime.succeed(["list", "--format", "json"])).stdout,
      ) as ContainerState[];
      const shown = states.map(({ id, status, bundle }) => ({ id, status, bundle }));
      expect(shown.sort((a, b) => (a.id < b.id ? -1 : 1))).toEqual([
        { id: one.id, status: "running", bundle: one.bundle.directory },
        { id: two.id, status: "created", bundle: two.bundle.directory },
      ]);
      const table = (await runtime.succeed(["list"])).stdout.trim().split("\n");
      expect(table.length).toBe(3);
      const row = table.find((line) => line.startsWith(one.id))?.split(/\s+/);
      expect(row?.slice(1, 4)).toEqual([
        String(states.find(({ id }) => id === one.id)?.pid),
        "running",
        one.bundle.directory,
      ]);
      const quiet = (await runtime.succeed(["list", "--quiet"])).stdout.trim().split("\n");
      expect(quiet.sort()).toEqual([one.id, two.id].sort());
      expect((await runtime.call(["list", "--format", "yaml"])).exitCode).toBe(1);
    } finally {
      await own.close();
    }
  });

  test("several roots hold containers of the same id", async () => {
    const other = await openContainers("busybox");
    try {
      const here = await containers.plan(["sleep", "1000"]);
      const there = await other.plan(["sleep", "1000"]);
      await containers.create(here);
      const words = ["create", "--bundle", there.bundle.directory, here.id];
      await other.runtime.succeed(words);
      const pids = [await containers.runtime.state(here.id), await other.runtime.state(here.id)].map(
        ({ pid }) => pid,
      );
      expect(pids[0]).not.toBe(pids[1]);
      expect((await containers.runtime.state(here.id)).bundle).toBe(here.bundle.directory);
      expect((await other.runtime.state(here.id)).bundle).toBe(there.bundle.directory);
      await other.runtime.succeed(["start", here.id]);
      expect((await containers.runtime.state(here.id)).status).toBe("created");
      await other.runtime.succeed(["delete", "--force", here.id]);
      expect((await other.runtime.call(["state", here.id])).exitCode).toBe(1);
      expect((await containers.runtime.state(here.id)).status).toBe("created");
      await containers.runtime.succeed(["delete", "--force", here.id]);
      await containers.expectGone(here.id);
    } finally {
      await other.close();
    }
  });
});

describe("the command line", () => {
  test("--version has the name, the version and the specification's", async () => {
    for (const flag of ["--version", "-v"]) {
      const result = await containers.runtime.succeed([flag]);
      expect(result.stdout).toMatch(/^(urunc|runc) version \d+\.\d+\.\d+\S*\n/);
      expect(result.stdout).toMatch(/^spec: 1\.\d+\.\d+/m);
    }
  });

  test("help names every verb of runc", async () => {
    const { stdout } = await containers.runtime.succeed(["--help"]);
    for (const verb of [
      ...["checkpoint", "create", "delete", "events", "exec", "features", "kill", "list", "pause", "ps"],
      ...["restore", "resume", "run", "spec", "start", "state", "update"],
    ]) {
      expect(stdout).toMatch(new RegExp(`^\\s+${verb}\\s`, "m"));
    }
    const create = await containers.runtime.succeed(["create", "--help"]);
    for (const flag of ["--bundle", "--console-socket", "--pid-file"]) expect(create.stdout).toContain(flag);
  });

  test("features is JSON", async () => {
    const features = JSON.parse((await containers.runtime.succeed(["features"])).stdout);
    expect(features.ociVersionMin).toMatch(/^1\.0/);
    expect(features.ociVersionMax).toMatch(/^1\./);
    expect(features.hooks).toContain("createRuntime");
    expect(features.mountOptions).toContain("rbind");
    expect(features.linux.namespaces).toContain("network");
    if (!runsMachines) return;
    expect(features.hooks).not.toContain("startContainer");
    expect(features.linux.namespaces).not.toContain("user");
    expect(features.linux.seccomp.enabled).toBe(true);
    expect(features.linux.seccomp.actions).toContain("SCMP_ACT_ERRNO");
    expect(features.linux.seccomp.actions).not.toContain("SCMP_ACT_NOTIFY");
  });

  test("spec writes a config.json that runs once it has a root", async () => {
    const directory = join(containers.runtime.directory, "spec");
    mkdirSync(directory);
    await containers.runtime.succeed(["spec", "--bundle", directory]);
    const config = JSON.parse(readFileSync(join(directory, "config.json"), "utf8"));
    expect(config.process.args).toEqual(["sh"]);
    const again = await containers.runtime.call(["spec", "--bundle", directory]);
    expect(again.exitCode).toBe(1);

    const { id, bundle } = await containers.plan(["true"]);
    config.process.terminal = false;
    config.process.args = ["echo", "from the default specification"];
    config.linux.cgroupsPath = `/${id}`;
    writeFileSync(join(bundle.directory, "config.json"), JSON.stringify(config));
    const result = await containers.runtime.succeed(["run", "--bundle", bundle.directory, id]);
    expect(result.stdout).toBe("from the default specification\n");
  });

  test("errors are JSON lines in --log, or text, and always on standard error", async () => {
    const { runtime } = containers;
    const id = runtime.newId();
    const result = await runtime.call(["create", "--bundle", join(runtime.directory, "no bundle"), id]);
    expect(result.exitCode).toBe(1);
    const errors = result.log.filter(({ level }) => level === "error");
    expect(errors.length).toBe(1);
    expect(errors[0]?.msg).not.toBe("");
    expect(result.stderr).toContain(errors[0]?.msg ?? "");
    expect(Math.abs(Date.parse(errors[0]?.time ?? "") - Date.now())).toBeLessThan(3_600_000);

    const log = join(runtime.directory, "text.log");
    const text = await command([
      ...[runtimePath, "--root", runtime.root, "--log", log, "--log-format", "text"],
      ...["create", "--bundle", join(runtime.directory, "no bundle"), id],
    ]);
    expect(text.exitCode).toBe(1);
    expect(readFileSync(log, "utf8")).toMatch(/level=error msg="/);
  });

  test.if(runsMachines)(
    "an unknown verb, an unknown flag and a missing id are one sentence each",
    async () => {
      for (const [words, sentence] of [
        [["frobnicate"], 'no command "frobnicate"'],
        [["create", "--frobnicate", "id"], "urunc create has no flag --frobnicate"],
        [["--frobnicate", "list"], "urunc has no flag --frobnicate"],
        [["start"], "urunc start takes exactly one container id"],
        [["delete", "one", "two"], "urunc delete takes exactly one container id"],
        [["create", "--preserve-fds", "3", "id"], "--preserve-fds"],
      ] as const) {
        const result = await containers.runtime.call(words);
        expect(result.exitCode).toBe(1);
        expect(result.stdout).toBe("");
        expect(result.stderr.trim().split("\n").length).toBe(1);
        expect(result.stderr).toContain(sentence);
        // A log named behind a flag that is not understood is not known.
        if (words[0] !== "--frobnicate") expect(result.log.at(-1)).toMatchObject({ level: "error" });
      }
    },
  );

  test.if(runsMachines)("verbs that are missing say so, and what to do instead", async () => {
    for (const verb of ["checkpoint", "restore"]) {
      const result = await containers.runtime.call([verb, "id"]);
      expect(result.exitCode).toBe(1);
      expect(result.stderr).toContain(`urunc ${verb} is not supported yet`);
      expect(result.log.at(-1)).toMatchObject({ level: "error", msg: result.stderr.trim() });
    }
  });

  test.if(runsMachines)("--cgroup-manager is taken as crun has it", async () => {
    const { id, bundle } = await containers.plan(["echo", "ran"]);
    const words = ["run", "--bundle", bundle.directory, id];
    expect((await containers.runtime.succeed(["--cgroup-manager", "cgroupfs", ...words])).stdout).toBe(
      "ran\n",
    );
    const refused = await containers.runtime.call(["--cgroup-manager=disabled", ...words]);
    expect(refused.exitCode).toBe(1);
    expect(refused.stderr).toContain("--cgroup-manager");
    await containers.expectGone(id);
  });
});
