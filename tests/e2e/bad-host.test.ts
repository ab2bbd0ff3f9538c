import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { chmodSync, cpSync, mkdirSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { BundleConfig } from "../harness/bundle.ts";
import { command, until } from "../harness/command.ts";
import { type Containers, openContainers } from "../harness/containers.ts";
import { makeNetns, type Netns } from "../harness/netns.ts";
import { configured, expectRefused, expectSentence, openContainersWhere } from "../harness/refusals.ts";
import { type Runtime, runtimePath } from "../harness/runtime.ts";

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

describe("the host", () => {
  test("no QEMU is installed", async () => {
    // The file is there, but is no program.
    const qemu = realpathSync("/usr/bin/qemu-system-x86_64");
    const other = await openContainersWhere(runtime, "without-qemu", `mount --bind /dev/null ${qemu}`);
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
    const env = configured(runtime, '[monitors.qemu]\npath = "/no/such/qemu"\n');
    await expectRefused(containers, () => {}, ["/no/such/qemu"], undefined, env);
  });

  test("the engine is not installed", async () => {
    const env = configured(runtime, '[runtime]\nengine = "no-such-engine"\n');
    await expectRefused(containers, () => {}, ["engine no-such-engine is not installed"], undefined, env);
  });

  test("the configuration is wrong", async () => {
    for (const [toml, words] of [
      ["[runtime\n", ["line 1", "is not TOML"]],
      ["[runtime]\nengine = 1\n", ["line 2", "runtime.engine that must be a string"]],
      ["[monitors.qemu]\ndefault_vcpus = 0\n", ["monitors.qemu.default_vcpus", "whole number from 1"]],
    ] as const) {
      await expectRefused(containers, () => {}, words, undefined, configured(runtime, toml));
    }
    const missing = { ...(process.env as Record<string, string>), URUNC_CONFIG_FILE: "/no/such/config.toml" };
    await expectRefused(containers, () => {}, ["/no/such/config.toml"], undefined, missing);
  });

  test("the kernel is missing or not ELF, the initramfs is missing", async () => {
    const installed = join(dirname(realpathSync(runtimePath)), "../share/urunc");
    const share = join(runtime.directory, "share");
    mkdirSync(share);
    for (const file of ["vmlinux", "initramfs.cpio", "urunc-standin"])
      cpSync(join(installed, file), join(share, file));
    const env = configured(runtime, `[runtime]\nshare = "${share}"\n`);
    const { id, bundle } = await containers.plan(["echo", "from elsewhere"]);
    const works = await runtime.succeed(["run", "--bundle", bundle.directory, id], { env });
    expect(works.stdout).toBe("from elsewhere\n");

    writeFileSync(join(share, "vmlinux"), "MZ this is a bzImage");
    const kernel = join(share, "vmlinux");
    await expectRefused(
      containers,
      () => {},
      [`kernel ${kernel}`, "not an ELF file", "bunny kernel build"],
      undefined,
      env,
    );
    rmSync(kernel);
    await expectRefused(
      containers,
      () => {},
      [`kernel ${kernel}`, "is missing", "bunny kernel build"],
      undefined,
      env,
    );
    cpSync(join(installed, "vmlinux"), kernel);
    rmSync(join(share, "initramfs.cpio"));
    await expectRefused(containers, () => {}, ["initramfs.cpio is missing"], undefined, env);
  });

  test("a memory limit that is too small names the least, and the least boots", async () => {
    const limited = (limit: number) => (config: BundleConfig) => {
      config.linux.resources.memory = { limit };
    };
    const MIB = 1024 * 1024;
    for (const limit of [1, 6 * MIB, 31 * MIB]) {
      await expectRefused(containers, limited(limit), ["too small", /at least \d+ MiB/]);
    }
    const refused = await containers.plan(["true"], limited(MIB));
    const call = await runtime.call(["create", "--bundle", refused.bundle.directory, refused.id]);
    const least = Number(/at least (\d+) MiB/.exec(call.stderr)?.[1]);
    await expectRefused(containers, limited(least * MIB - 1), ["too small"]);
    const { id, bundle } = await containers.plan(["sh", "-c", "echo booted"], limited(least * MIB));
    expect((await runtime.succeed(["run", "--bundle", bundle.directory, id])).stdout).toBe("booted\n");
  });

  test("the engine's own failure is passed on, and what was made until then is removed", async () => {
    const message = "this hook does not like it";
    for (const moment of ["prestart", "createRuntime", "createContainer"]) {
      await expectRefused(
        containers,
        (config) => {
          const argv = ["sh", "-c", `echo ${message} >&2; exit 1`];
          config.hooks = { [moment]: [{ path: "/bin/sh", args: argv }] };
        },
        [message],
      );
    }
    await expectRefused(
      containers,
      (config) => {
        const network = config.linux.namespaces.find(({ type }) => type === "network");
        if (network) network.path = "/run/netns/urt-no-such";
      },
      ["urt-no-such"],
    );
  });

  test("what a machine cannot have is refused by name", async () => {
    await expectRefused(
      containers,
      (config) => {
        config.linux.namespaces.push({ type: "user" });
      },
      ["user namespace", "not supported yet"],
    );
    await expectRefused(
      containers,
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
    const other = await openContainersWhere(runtime, "without-tun", "mount -t tmpfs none /dev/net");
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
    const other = await openContainersWhere(runtime, "vanishing", `mount --bind ${wrapper} ${tc}`);
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
