import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { type BundleConfig, changeConfig } from "../harness/bundle.ts";
import { command, until } from "../harness/command.ts";
import { type Containers, openContainers } from "../harness/containers.ts";
import { processesInCgroup, processName } from "../harness/leaks.ts";
import { makeNetns, type Netns } from "../harness/netns.ts";
import { type Call, type Runtime, runtimePath } from "../harness/runtime.ts";

setDefaultTimeout(90_000);

const FETCH = join(import.meta.dir, "../harness/fetch-text.ts");

let containers: Containers;
let runtime: Runtime;

beforeAll(async () => {
  containers = await openContainers("busybox");
  runtime = containers.runtime;
}, 300_000);

afterAll(async () => {
  await containers?.close();
}, 120_000);

/** The call failed with one clear sentence that has all of `words`, for people and in the log that Docker reads. */
function expectSentence(call: Call, words: readonly (string | RegExp)[]): void {
  const errors = call.log.filter(({ level }) => level === "error");
  const message = errors.at(-1)?.msg ?? "";
  for (const word of words) {
    expect(call.stderr).toMatch(word);
    expect(message).toMatch(word);
  }
  for (const text of [call.stderr, message]) {
    expect(text).not.toContain("internal error");
    expect(text).not.toMatch(/^\s+at /m);
  }
  expect(call.exitCode).toBe(1);
  expect(call.stdout).toBe("");
}

/** Calls `create` and `run` with a bundle; both refuse it in the same words and leave nothing. */
async function expectRefused(
  change: (config: BundleConfig) => void,
  words: readonly (string | RegExp)[],
  prepare: (directory: string) => void = () => {},
  env?: Record<string, string>,
): Promise<void> {
  for (const verb of ["create", "run"]) {
    const { id, bundle } = await containers.plan(["true"], change);
    prepare(bundle.directory);
    const call = await runtime.call(
      [verb, "--bundle", bundle.directory, id],
      env === undefined ? {} : { env },
    );
    expectSentence(call, words);
    await containers.expectGone(id);
  }
}

/** An environment in which urunc reads this configuration. */
function configured(toml: string): Record<string, string> {
  const path = join(runtime.directory, `config-${Bun.hash(toml).toString(36)}.toml`);
  writeFileSync(path, toml);
  return { ...(process.env as Record<string, string>), URUNC_CONFIG_FILE: path };
}

/** Containers whose runtime is called where a shell's commands have changed what is mounted; nobody else sees that. */
function openContainersWhere(name: string, commands: string): Promise<Containers> {
  const program = join(runtime.directory, name);
  const script = [
    "#!/bin/sh",
    "set -e",
    'if [ "$1" != inside ]; then exec unshare --mount --propagation private "$0" inside "$@"; fi',
    "shift",
    commands,
    `exec ${runtimePath} "$@"`,
    "",
  ];
  writeFileSync(program, script.join("\n"));
  chmodSync(program, 0o755);
  return openContainers("busybox", program);
}

function inNamespace({ plan }: Containers, netns: Netns, args: readonly string[]) {
  return plan(args, (config) => {
    const network = config.linux.namespaces.find(({ type }) => type === "network");
    if (network !== undefined) network.path = netns.path;
    // For ping.
    for (const [set, names] of Object.entries(config.process.capabilities)) {
      config.process.capabilities[set] = [...names, "CAP_NET_RAW"];
    }
  });
}

function monitorOf(id: string): number | undefined {
  return processesInCgroup(`/${id}`).find((pid) => processName(pid).startsWith("qemu-system"));
}

describe("the bundle", () => {
  test("config.json is missing", async () => {
    await expectRefused(
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
        () => {},
        ["config.json", "is not JSON"],
        (directory) => writeFileSync(join(directory, "config.json"), text),
      );
    });
  }

  test("config.json is JSON, but not an object", async () => {
    for (const text of ["null", "[]", "7"]) {
      await expectRefused(
        () => {},
        ["config.json", "is not a JSON object"],
        (directory) => writeFileSync(join(directory, "config.json"), text),
      );
    }
  });

  test("there is no process", async () => {
    await expectRefused(
      (config) => {
        delete (config as Partial<BundleConfig>).process;
      },
      ["config.json", "has no process"],
    );
  });

  test("there are no arguments", async () => {
    await expectRefused(
      (config) => {
        config.process.args = [];
      },
      ["args must not be empty"],
    );
    await expectRefused(
      (config) => {
        delete (config.process as Partial<BundleConfig["process"]>).args;
      },
      ["args must not be empty"],
    );
  });

  test("there is no root, or it has no path", async () => {
    await expectRefused(
      (config) => {
        delete (config as Partial<BundleConfig>).root;
      },
      ["config.json", "has no root"],
    );
    await expectRefused(
      (config) => {
        config.root = {} as BundleConfig["root"];
      },
      ["config.json", "root.path"],
    );
    await expectRefused(
      (config) => {
        config.root.path = "";
      },
      ["config.json", "root.path"],
    );
  });

  test("the root file system is missing, or is a file", async () => {
    await expectRefused(
      (config) => {
        config.root.path = "elsewhere";
      },
      ["root file system", "elsewhere does not exist"],
    );
    await expectRefused(
      (config) => {
        config.root.path = "config.json";
      },
      ["root file system", "not a directory"],
    );
  });

  test("the working directory is not absolute, a string has a NUL", async () => {
    await expectRefused(
      (config) => {
        config.process.cwd = "here";
      },
      ["Cwd must be an absolute path"],
    );
    await expectRefused(
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

describe("the host", () => {
  test("no QEMU is installed", async () => {
    // The file is there, but is no program.
    const qemu = realpathSync("/usr/bin/qemu-system-x86_64");
    const other = await openContainersWhere("without-qemu", `mount --bind /dev/null ${qemu}`);
    try {
      const { id, bundle } = await other.plan(["true"]);
      for (const verb of ["create", "run"]) {
        const call = await other.runtime.call([verb, "--bundle", bundle.directory, id]);
        expectSentence(call, ["qemu-system-x86_64 is not installed", "install the package qemu-system-x86"]);
      }
      await other.expectGone(id);
    } finally {
      await other.close();
    }
    const env = configured('[monitors.qemu]\npath = "/no/such/qemu"\n');
    await expectRefused(() => {}, ["/no/such/qemu"], undefined, env);
  });

  test("the engine is not installed", async () => {
    const env = configured('[runtime]\nengine = "no-such-engine"\n');
    await expectRefused(() => {}, ["engine no-such-engine is not installed"], undefined, env);
  });

  test("the configuration is wrong", async () => {
    for (const [toml, words] of [
      ["[runtime\n", ["line 1", "is not TOML"]],
      ["[runtime]\nengine = 1\n", ["line 2", "runtime.engine that must be a string"]],
      ["[monitors.qemu]\ndefault_vcpus = 0\n", ["monitors.qemu.default_vcpus", "whole number from 1"]],
    ] as const) {
      await expectRefused(() => {}, words, undefined, configured(toml));
    }
    const missing = { ...(process.env as Record<string, string>), URUNC_CONFIG_FILE: "/no/such/config.toml" };
    await expectRefused(() => {}, ["/no/such/config.toml"], undefined, missing);
  });

  test("the kernel is missing or not ELF, the initramfs is missing", async () => {
    const installed = join(dirname(realpathSync(runtimePath)), "../share/urunc");
    const share = join(runtime.directory, "share");
    mkdirSync(share);
    for (const file of ["vmlinux", "initramfs.cpio", "urunc-standin"])
      cpSync(join(installed, file), join(share, file));
    const env = configured(`[runtime]\nshare = "${share}"\n`);
    const { id, bundle } = await containers.plan(["echo", "from elsewhere"]);
    const works = await runtime.succeed(["run", "--bundle", bundle.directory, id], { env });
    expect(works.stdout).toBe("from elsewhere\n");

    writeFileSync(join(share, "vmlinux"), "MZ this is a bzImage");
    const kernel = join(share, "vmlinux");
    await expectRefused(
      () => {},
      [`kernel ${kernel}`, "not an ELF file", "bunny kernel build"],
      undefined,
      env,
    );
    rmSync(kernel);
    await expectRefused(() => {}, [`kernel ${kernel}`, "is missing", "bunny kernel build"], undefined, env);
    cpSync(join(installed, "vmlinux"), kernel);
    rmSync(join(share, "initramfs.cpio"));
    await expectRefused(() => {}, ["initramfs.cpio is missing"], undefined, env);
  });

  test("a memory limit that is too small names the least, and the least boots", async () => {
    const limited = (limit: number) => (config: BundleConfig) => {
      config.linux.resources.memory = { limit };
    };
    const MIB = 1024 * 1024;
    for (const limit of [1, 6 * MIB, 31 * MIB]) {
      await expectRefused(limited(limit), ["too small", /at least \d+ MiB/]);
    }
    const refused = await containers.plan(["true"], limited(MIB));
    const call = await runtime.call(["create", "--bundle", refused.bundle.directory, refused.id]);
    const least = Number(/at least (\d+) MiB/.exec(call.stderr)?.[1]);
    await expectRefused(limited(least * MIB - 1), ["too small"]);
    const { id, bundle } = await containers.plan(["sh", "-c", "echo booted"], limited(least * MIB));
    expect((await runtime.succeed(["run", "--bundle", bundle.directory, id])).stdout).toBe("booted\n");
  });

  test("the engine's own failure is passed on, and what was made until then is removed", async () => {
    const message = "this hook does not like it";
    for (const moment of ["prestart", "createRuntime", "createContainer"]) {
      await expectRefused(
        (config) => {
          const argv = ["sh", "-c", `echo ${message} >&2; exit 1`];
          config.hooks = { [moment]: [{ path: "/bin/sh", args: argv }] };
        },
        [message],
      );
    }
    await expectRefused(
      (config) => {
        const network = config.linux.namespaces.find(({ type }) => type === "network");
        if (network) network.path = "/run/netns/urt-no-such";
      },
      ["urt-no-such"],
    );
  });

  test("what a machine cannot have is refused by name", async () => {
    await expectRefused(
      (config) => {
        config.linux.namespaces.push({ type: "user" });
      },
      ["user namespace", "not supported yet"],
    );
    await expectRefused(
      (config) => {
        config.hooks = { startContainer: [{ path: "/bin/true" }] };
      },
      ["hooks.startContainer"],
    );
  });
});

describe("the network", () => {
  let netns: Netns;

  beforeAll(async () => {
    netns = await makeNetns();
  });

  afterAll(async () => {
    await netns?.remove();
  });

  test("a machine takes the place of what is in its namespace, and leaves it as it was", async () => {
    const { id, bundle } = await inNamespace(containers, netns, [
      "ping",
      "-c",
      "1",
      "-W",
      "10",
      netns.peerAddress,
    ]);
    const result = await runtime.succeed(["run", "--bundle", bundle.directory, id]);
    expect(result.stdout).toContain("1 packets received");
    expect(await netns.additions()).toEqual([]);
    await containers.expectGone(id);
  });

  test("a second machine in the same namespace is refused, the first goes on", async () => {
    const first = await inNamespace(containers, netns, ["sh", "-c", "echo ready; sleep 1000"]);
    const call = await containers.create(first);
    await runtime.succeed(["start", first.id]);
    await until("it is ready", () => call.output().stdout.includes("ready"));
    const second = await inNamespace(containers, netns, ["true"]);
    await containers.create(second);
    expectSentence(await runtime.call(["start", second.id]), ["network namespace already belongs", first.id]);
    await runtime.succeed(["delete", "--force", second.id]);
    await containers.expectGone(second.id);
    expect((await runtime.state(first.id)).status).toBe("running");
    expect((await netns.additions()).length).toBeGreaterThan(0);
    await runtime.succeed(["delete", "--force", first.id]);
    await containers.expectGone(first.id);
    expect(await netns.additions()).toEqual([]);
  });

  test("a second start leaves the running machine's network as it is", async () => {
    const script = "echo served > /index.html; echo ready; exec httpd -f -p 8080 -h /";
    const container = await inNamespace(containers, netns, ["sh", "-c", script]);
    const call = await containers.create(container);
    await runtime.succeed(["start", container.id]);
    await until("it is ready", () => call.output().stdout.includes("ready"));
    const url = `http://${netns.address}:8080/index.html`;
    const fetched = async () =>
      (await command(netns.atPeer([process.execPath, FETCH, url]))).stdout === "served\n";
    await until("it serves", fetched);
    const before = await netns.additions();
    expectSentence(await runtime.call(["start", container.id]), ["cannot start", "running"]);
    expect(await netns.additions()).toEqual(before);
    expect(await fetched()).toBe(true);
    await runtime.succeed(["delete", "--force", container.id]);
    await containers.expectGone(container.id);
    expect(await netns.additions()).toEqual([]);
  });

  test("/dev/net/tun is missing", async () => {
    const other = await openContainersWhere("without-tun", "mount -t tmpfs none /dev/net");
    try {
      const started = await inNamespace(other, netns, ["true"]);
      await other.runtime.succeed(["create", "--bundle", started.bundle.directory, started.id]);
      expectSentence(await other.runtime.call(["start", started.id]), [
        "/dev/net/tun is missing",
        "modprobe tun",
      ]);
      expect(await netns.additions()).toEqual([]);
      await other.runtime.succeed(["delete", "--force", started.id]);
      await other.expectGone(started.id);

      const { id, bundle } = await inNamespace(other, netns, ["true"]);
      expectSentence(await other.runtime.call(["run", "--bundle", bundle.directory, id]), [
        "/dev/net/tun is missing",
        "modprobe tun",
      ]);
      expect(await netns.additions()).toEqual([]);
      await other.expectGone(id);
    } finally {
      await other.close();
    }
  });

  test("an interface that vanishes between the tap and its redirect", async () => {
    const gone = await makeNetns();
    const tc = realpathSync(Bun.which("tc", { PATH: "/usr/sbin:/sbin:/usr/bin:/bin" }) ?? "");
    const real = join(runtime.directory, "tc");
    cpSync(tc, real);
    chmodSync(real, 0o755);
    const wrapper = join(runtime.directory, "tc-wrapper");
    writeFileSync(wrapper, `#!/bin/sh\nip link delete ${gone.interface} 2>/dev/null\nexec ${real} "$@"\n`);
    chmodSync(wrapper, 0o755);
    const other = await openContainersWhere("vanishing", `mount --bind ${wrapper} ${tc}`);
    try {
      const container = await inNamespace(other, gone, ["true"]);
      await other.runtime.succeed(["create", "--bundle", container.bundle.directory, container.id]);
      expectSentence(await other.runtime.call(["start", container.id]), [
        "interface went away",
        "start it again",
      ]);
      expect(await gone.additions()).toEqual([]);
      expect((await other.runtime.state(container.id)).status).toBe("created");
      await other.runtime.succeed(["delete", "--force", container.id]);
      await other.expectGone(container.id);
    } finally {
      await other.close();
      await gone.remove();
    }
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
