import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { type BundleConfig, changeConfig } from "../harness/bundle.ts";
import { command, until } from "../harness/command.ts";
import { type Containers, openContainers } from "../harness/containers.ts";
import { processesInCgroup, processName } from "../harness/leaks.ts";
import { expectRefused, expectSentence } from "../harness/refusals.ts";
import { type Runtime, runtimePath } from "../harness/runtime.ts";

setDefaultTimeout(90_000);

let containers: Containers;
let runtime: Runtime;

beforeAll(async () => {
  containers = await openContainers("busybox");
  runtime = containers.runtime;
}, 300_000);

afterAll(async () => {
  await containers?.close();
}, 120_000);

function monitorOf(id: string): number | undefined {
  return processesInCgroup(`/${id}`).find((pid) => processName(pid).startsWith("qemu-system"));
}

describe("the bundle", () => {
  test("config.json is missing", async () => {
    await expectRefused(
      containers,
      () => {},
      ["config.json", "does not exist"],
      (directory) => rmSync(join(directory, "config.json")),
    );
  });

  test("the bundle's directory is missing", async () => {
    const id = runtime.newId();
    const call = await runtime.call(["create", "--bundle", join(runtime.directory, "no such"), id]);
    expectSentence(call, ["no such/config.json", "does not exist"]);
    await containers.expectGone(id);
  });

  for (const [what, text] of [
    ["empty", ""],
    ["cut short", '{"ociVersion": "1.0.2", "process": {'],
    ["binary", "\x7fELF\0\0"],
  ] as const) {
    test(`config.json is not JSON: ${what}`, async () => {
      await expectRefused(
        containers,
        () => {},
        ["config.json", "is not JSON"],
        (directory) => writeFileSync(join(directory, "config.json"), text),
      );
    });
  }

  test("config.json is JSON, but not an object", async () => {
    for (const text of ["null", "[]", "7"]) {
      await expectRefused(
        containers,
        () => {},
        ["config.json", "is not a JSON object"],
        (directory) => writeFileSync(join(directory, "config.json"), text),
      );
    }
  });

  test("there is no process", async () => {
    await expectRefused(
      containers,
      (config) => {
        delete (config as Partial<BundleConfig>).process;
      },
      ["config.json", "has no process"],
    );
  });

  test("there are no arguments", async () => {
    await expectRefused(
      containers,
      (config) => {
        config.process.args = [];
      },
      ["args must not be empty"],
    );
    await expectRefused(
      containers,
      (config) => {
        delete (config.process as Partial<BundleConfig["process"]>).args;
      },
      ["args must not be empty"],
    );
  });

  test("there is no root, or it has no path", async () => {
    await expectRefused(
      containers,
      (config) => {
        delete (config as Partial<BundleConfig>).root;
      },
      ["config.json", "has no root"],
    );
    await expectRefused(
      containers,
      (config) => {
        config.root = {} as BundleConfig["root"];
      },
      ["config.json", "root.path"],
    );
    await expectRefused(
      containers,
      (config) => {
        config.root.path = "";
      },
      ["config.json", "root.path"],
    );
  });

  test("the root file system is missing, or is a file", async () => {
    await expectRefused(
      containers,
      (config) => {
        config.root.path = "elsewhere";
      },
      ["root file system", "elsewhere does not exist"],
    );
    await expectRefused(
      containers,
      (config) => {
        config.root.path = "config.json";
      },
      ["root file system", "not a directory"],
    );
  });

  test("the working directory is not absolute, a string has a NUL", async () => {
    await expectRefused(
      containers,
      (config) => {
        config.process.cwd = "here";
      },
      ["Cwd must be an absolute path"],
    );
    await expectRefused(
      containers,
      (config) => {
        config.process.args = ["a\0b"];
      },
      ["NUL", "process.args"],
    );
  });

  test("a path with spaces and letters of any script is named in the sentence as it is", async () => {
    const { id, bundle } = await containers.plan(["true"]);
    const directory = join(runtime.directory, "bündel mit leer 世界");
    renameSync(bundle.directory, directory);
    rmSync(join(directory, "rootfs"), { recursive: true });
    const call = await runtime.call(["create", "--bundle", directory, id]);
    expectSentence(call, [join(directory, "rootfs")]);
    await containers.expectGone(id);
  });

  test("a volume's source is missing", async () => {
    await expectRefused(
      containers,
      (config) => {
        const source = "/no/such/volume";
        config.mounts.push({ destination: "/data", type: "bind", source, options: ["rbind", "rw"] });
      },
      ["/no/such/volume"],
    );
  });
});

describe("the id", () => {
  const VERBS = [["create"], ["run"], ["start"], ["state"], ["kill"], ["delete"], ["delete", "--force"]];

  for (const id of ["../escape", "a/b", "..", ".", "", "with space", "ünicode", "semi;colon", "/absolute"]) {
    test(`${JSON.stringify(id)} is no id for any verb`, async () => {
      const { bundle } = await containers.plan(["true"]);
      const before = readdirSync(dirname(runtime.root)).sort();
      for (const verb of VERBS) {
        const isNew = verb[0] === "create" || verb[0] === "run";
        const call = await runtime.call([...verb, ...(isNew ? ["--bundle", bundle.directory] : []), id]);
        expect(call.exitCode).toBe(1);
        expect(call.stdout).toBe("");
        expect(call.stderr).not.toContain("internal error");
        if (isNew) expectSentence(call, [/container id/]);
      }
      const calls = /^call-/;
      const after = readdirSync(dirname(runtime.root)).sort();
      expect(after.filter((name) => !calls.test(name) && name !== "root")).toEqual(
        before.filter((name) => !calls.test(name) && name !== "root"),
      );
      expect(existsSync(join(bundle.directory, "config.json"))).toBe(true);
    });
  }

  test("256 characters are too many, 255 are not", async () => {
    const { bundle } = await containers.plan(["echo", "ran"]);
    const unique = runtime.newId();
    const long = unique.padEnd(256, "x");
    const call = await runtime.call(["create", "--bundle", bundle.directory, long]);
    expectSentence(call, ["256 characters", "at most 255"]);
    const longest = unique.padEnd(255, "x");
    const result = await runtime.call(["run", "--bundle", bundle.directory, longest]);
    expect(result.stderr).toBe("");
    expect(result.stdout).toBe("ran\n");
    await containers.expectGone(unique);
  });

  test("an id in use is refused, and its container stays as it is", async () => {
    const first = await containers.plan(["sleep", "1000"]);
    await containers.create(first);
    const second = await containers.plan(["true"]);
    for (const verb of ["create", "run"]) {
      const call = await runtime.call([verb, "--bundle", second.bundle.directory, first.id]);
      expectSentence(call, ["already exists"]);
    }
    expect(await runtime.state(first.id)).toMatchObject({
      status: "created",
      bundle: first.bundle.directory,
    });
    await runtime.succeed(["start", first.id]);
    const call = await runtime.call(["create", "--bundle", second.bundle.directory, first.id]);
    expectSentence(call, ["already exists"]);
    expect((await runtime.state(first.id)).status).toBe("running");
    await runtime.succeed(["delete", "--force", first.id]);
    await containers.expectGone(first.id);
  });

  test("of two creates of one id at once exactly one succeeds", async () => {
    const one = await containers.plan(["true"]);
    const two = await containers.plan(["true"]);
    const calls = await Promise.all(
      [one, two].map(({ bundle }) => runtime.call(["create", "--bundle", bundle.directory, one.id])),
    );
    expect(calls.map(({ exitCode }) => exitCode).sort()).toEqual([0, 1]);
    const refused = calls.find(({ exitCode }) => exitCode === 1);
    if (refused) expectSentence(refused, ["already exists"]);
    expect((await runtime.state(one.id)).status).toBe("created");
    await runtime.succeed(["delete", "--force", one.id]);
    await containers.expectGone(one.id);
  });

  test("a container that does not exist", async () => {
    const id = runtime.newId();
    for (const verb of ["start", "state", "kill", "delete", "pause", "resume"]) {
      expectSentence(await runtime.call([verb, id]), ["does not exist"]);
    }
    await containers.expectGone(id);
  });
});

describe("the state", () => {
  test("a second start is refused while it runs and after its end", async () => {
    const container = await containers.plan([
      "sh",
      "-c",
      "trap 'exit 0' TERM; echo ready; while :; do sleep 0.1; done",
    ]);
    const call = await containers.create(container);
    await runtime.succeed(["start", container.id]);
    expectSentence(await runtime.call(["start", container.id]), ["cannot start", "running"]);
    expect((await runtime.state(container.id)).status).toBe("running");
    await until("it is ready", () => call.output().stdout.includes("ready"));
    expect(call.output()).toEqual({ stdout: "ready\n", stderr: "" });
    await runtime.succeed(["kill", container.id, "TERM"]);
    await runtime.untilStatus(container.id, "stopped");
    expectSentence(await runtime.call(["start", container.id]), ["cannot start", "stopped"]);
    await runtime.succeed(["delete", container.id]);
    await containers.expectGone(container.id);
  });

  test("delete of a running container needs --force", async () => {
    const container = await containers.plan(["sleep", "1000"]);
    await containers.create(container);
    await runtime.succeed(["start", container.id]);
    const call = await runtime.call(["delete", container.id]);
    expectSentence(call, ["cannot delete", "not stopped", "running"]);
    expect(await runtime.state(container.id)).toMatchObject({
      status: "running",
      bundle: container.bundle.directory,
    });
    expect(monitorOf(container.id)).toBeDefined();
    await runtime.succeed(["delete", "--force", container.id]);
    await containers.expectGone(container.id);
  });

  test("a machine that died: a sentence on the container's standard error, stopped, and delete works", async () => {
    const container = await containers.plan(["sh", "-c", "echo ready; sleep 1000"]);
    const call = await containers.create(container);
    await runtime.succeed(["start", container.id]);
    await until("it is ready", () => call.output().stdout.includes("ready"));
    const monitor = monitorOf(container.id);
    expect(monitor).toBeDefined();
    if (monitor !== undefined) process.kill(monitor, "SIGKILL");
    await runtime.untilStatus(container.id, "stopped");
    expect(call.output().stdout).toBe("ready\n");
    expect(call.output().stderr).toMatch(/^urunc: .*(monitor|virtual machine).*\n$/);
    expect((await runtime.call(["kill", container.id, "TERM"])).exitCode).toBe(1);
    expectSentence(await runtime.call(["start", container.id]), ["cannot start", "stopped"]);
    await runtime.succeed(["delete", container.id]);
    await containers.expectGone(container.id);
  });

  test("run of a machine that dies gives the monitor's end as its own", async () => {
    const { id, bundle } = await containers.plan(["sleep", "1000"]);
    const call = runtime.begin(["run", "--bundle", bundle.directory, id]);
    const monitor = await until("the monitor runs", () => monitorOf(id));
    await until("the application runs", async () =>
      (await runtime.call(["state", id])).stdout.includes('"running"'),
    );
    process.kill(monitor, "SIGKILL");
    const result = await call.ended;
    expect([1, 137]).toContain(result.exitCode);
    expect(result.stderr).not.toBe("");
    await containers.expectGone(id);
  });

  test("root of a user namespace, as rootless podman calls it: one sentence, and nothing is made", async () => {
    const user = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"];
    const root = ["unshare", "--user", "--map-root-user", runtimePath, "--root", "/run/urunc-nobody"];
    const result = await command([...user, ...root, "create", "--bundle", "/", "nobody"]);
    expect(result.exitCode).toBe(1);
    expect(result.stderr).toMatch(/^\/run cannot be written to, .*root of a user namespace.*\n$/);
    expect(existsSync("/run/urunc-nobody")).toBe(false);
  });

  test("the program is missing: create says so, and leaves nothing", async () => {
    const { id, bundle } = await containers.plan(["nosuch"]);
    const call = await runtime.call(["create", "--bundle", bundle.directory, id]);
    expectSentence(call, ['exec: "nosuch": executable file not found in $PATH']);
    await containers.expectGone(id);
  });

  test("the program is missing where only the guest can see: start says so, nothing runs, delete works", async () => {
    const container = await containers.plan(["/tmp/nosuch"], ({ mounts }) => {
      mounts.push({ destination: "/tmp", type: "tmpfs", source: "tmpfs" });
    });
    await containers.create(container);
    const call = await runtime.call(["start", container.id]);
    expectSentence(call, ['exec: "/tmp/nosuch": stat /tmp/nosuch: no such file or directory']);
    await runtime.untilStatus(container.id, "stopped");
    await runtime.succeed(["delete", container.id]);
    await containers.expectGone(container.id);

    const { id, bundle } = await containers.plan(["/etc/passwd"]);
    const run = await runtime.call(["run", "--bundle", bundle.directory, id]);
    expectSentence(run, ['exec: "/etc/passwd": permission denied']);
    await containers.expectGone(id);
  });
});

test("a bundle can be corrected and used again after each refusal", async () => {
  const container = await containers.plan(["echo", "corrected"], (config) => {
    config.root.path = "nowhere";
  });
  const words = ["run", "--bundle", container.bundle.directory, container.id];
  expectSentence(await runtime.call(words), ["nowhere does not exist"]);
  changeConfig(container.bundle, (config) => {
    config.root.path = "rootfs";
  });
  expect((await runtime.succeed(words)).stdout).toBe("corrected\n");
});
