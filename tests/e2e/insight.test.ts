import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { chmodSync, copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { parse } from "smol-toml";
import type { Group } from "../../src/doctor/finding.ts";
import { type BunnyHome, makeBunnyHome } from "../harness/bunny.ts";
import { command } from "../harness/command.ts";
import { type Containers, openContainers } from "../harness/containers.ts";
import { ensureImage } from "../harness/images.ts";
import { layOut } from "../harness/laid-out.ts";
import { processesInCgroup } from "../harness/leaks.ts";
import { type Call, type Runtime, runtimePath } from "../harness/runtime.ts";

/** What the commands say of themselves and of the host. */

setDefaultTimeout(120_000);

let containers: Containers;
let runtime: Runtime;

beforeAll(async () => {
  containers = await openContainers("busybox");
  runtime = containers.runtime;
}, 300_000);

afterAll(async () => {
  await containers?.close();
}, 120_000);

/** An environment with this configuration, and the file's path. */
function configured(toml: string): { path: string; env: Record<string, string> } {
  const path = join(runtime.directory, `config-${Bun.hash(toml).toString(36)}.toml`);
  writeFileSync(path, toml);
  return { path, env: { ...(process.env as Record<string, string>), URUNC_CONFIG_FILE: path } };
}

const MEMORY = ["sh", "-c", "awk '/MemTotal/ {print int($2 / 1024)}' /proc/meminfo; nproc"];
const PREFIX = "com.urunc.config.";

describe("the configuration", () => {
  test("an unknown key is a warning in the log, and the container runs as the rest says", async () => {
    const { env } = configured(
      "[runtime]\nengin = 'crun'\n[monitors.qemu]\ndefault_vcpus = 2\nvhost = true\n",
    );
    const { id, bundle } = await containers.plan(MEMORY);
    const call = await runtime.succeed(["run", "--bundle", bundle.directory, id], { env });
    expect(call.stdout).toMatch(/^\d+\n2\n$/);
    const warnings = call.log.filter(({ level }) => level === "warning").map(({ msg }) => msg);
    expect(warnings).toContainEqual(
      expect.stringContaining("unknown key runtime.engin (line 2): did you mean runtime.engine?"),
    );
    expect(warnings).toContainEqual(expect.stringContaining("monitors.qemu.vhost (line 5)"));
    expect(call.stderr).toBe("");
    await containers.expectGone(id);
  });

  test("annotations decide a container's size, its limits before them, and nothing of the host", async () => {
    const { id, bundle } = await containers.plan(MEMORY, (config) => {
      config.annotations = {
        [`${PREFIX}monitors.qemu.default_memory_mb`]: "512",
        [`${PREFIX}monitors.qemu.default_vcpus`]: "3",
        [`${PREFIX}monitors.qemu.share`]: "9p",
      };
      config.linux.resources.cpu = { quota: 100_000, period: 100_000 };
    });
    const { stdout } = await runtime.succeed(["run", "--bundle", bundle.directory, id]);
    const [memory, processors] = stdout.split("\n").map(Number);
    expect(memory).toBeGreaterThan(400);
    expect(memory).toBeLessThan(512);
    expect(processors).toBe(1);
    await containers.expectGone(id);

    const other = await containers.plan(["true"], (config) => {
      config.annotations = { [`${PREFIX}runtime.engine`]: "/bin/false" };
    });
    const refused = await runtime.call(["create", "--bundle", other.bundle.directory, other.id]);
    expect(refused.exitCode).toBe(1);
    expect(refused.stderr).toContain("only the host's configuration decides runtime.engine");
    await containers.expectGone(other.id);
  });

  test("urunc config shows it as TOML, each value with its origin", async () => {
    const { path, env } = configured('[monitors.qemu]\ndefault_memory_mb = 300\n[log]\nlevel = "debug"\n');
    const { bundle } = await containers.plan(["true"], (config) => {
      config.annotations = { [`${PREFIX}monitors.qemu.default_vcpus`]: "3" };
    });
    const { stdout } = await runtime.succeed(["config", "--bundle", bundle.directory], { env });
    const shown = parse(stdout) as Record<string, Record<string, unknown>>;
    expect(shown["log"]).toEqual({ level: "debug", syslog: false });
    expect(shown["monitors"]?.["qemu"]).toMatchObject({
      path: expect.stringContaining("qemu"),
      default_memory_mb: 300,
      default_vcpus: 3,
    });
    const originOf = (key: string) => new RegExp(`^${key} = .* # (.*)$`, "m").exec(stdout)?.[1];
    expect(stdout).toStartWith(`# ${path}, which URUNC_CONFIG_FILE names\n`);
    expect(originOf("default_memory_mb")).toBe(`${path}:2`);
    expect(originOf("level")).toBe(`${path}:4`);
    expect(originOf("default_vcpus")).toBe(`annotation ${PREFIX}monitors.qemu.default_vcpus`);
    expect(originOf("syslog")).toBe("default");
    expect(originOf("engine")).toMatch(/^default, is \/.*runc$/);
  });

  test("firmware and the file server's options are those of the file", async () => {
    const { env } = configured(
      '[monitors.qemu]\ndata_path = "/usr/share/qemu"\nshare = "virtiofs"\n' +
        '[extra_binaries.virtiofsd]\noptions = "--thread-pool-size=2"\n',
    );
    const { id, bundle } = await containers.plan(["sleep", "60"]);
    await containers.create({ id, bundle }, { env });
    await runtime.succeed(["start", id]);
    const lines = processesInCgroup(`/${id}`).map((pid) =>
      readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0"),
    );
    const of = (name: string) => lines.find(([program]) => basename(program ?? "").startsWith(name)) ?? [];
    expect(of("qemu-system")).toContain("-L");
    expect(of("virtiofsd").filter((word) => word.startsWith("--thread-pool-size"))).toEqual([
      "--thread-pool-size=2",
    ]);
    await runtime.succeed(["delete", "--force", id]);
    await containers.expectGone(id);
  });

  test("a level of debug is what --debug does, and one of error leaves warnings away", async () => {
    const logOf = async (level: string) => {
      const { env } = configured(`[log]\nlevel = "${level}"\nunknown = 1\n`);
      const { id, bundle } = await containers.plan(["true"]);
      const { log } = await runtime.succeed(["run", "--bundle", bundle.directory, id], { env });
      return log;
    };
    expect(await logOf("debug")).toContainEqual(
      expect.objectContaining({ level: "debug", msg: expect.stringContaining("shared by") }),
    );
    expect(await logOf("error")).toEqual([]);
  });
});

/** What `doctor --json` says. */
interface Diagnosis {
  machines: boolean;
  groups: Group[];
}

function findings({ stdout }: Pick<Call, "stdout">) {
  const { groups } = JSON.parse(stdout) as Diagnosis;
  return new Map(groups.flatMap((group) => group.findings.map((finding) => [finding.what, finding])));
}

describe("urunc doctor", () => {
  test("finds what the machines of these tests run with", async () => {
    const call = await runtime.succeed(["doctor", "--json"]);
    expect((JSON.parse(call.stdout) as Diagnosis).machines).toBe(true);
    const found = findings(call);
    for (const what of ["QEMU", "QEMU's microvm", "kernel", "engine", "libseccomp", "/dev/net/tun", "ip"]) {
      expect(found.get(what)?.state).toBe("ok");
    }
    const { stdout: qemu } = await command(["qemu-system-x86_64", "--version"]);
    const version = /version ([0-9.]+)/.exec(qemu)?.[1] as string;
    expect(found.get("QEMU")?.found).toEndWith(`version ${version}`);

    const { id, bundle } = await containers.plan(["uname", "-r"]);
    const { stdout: release } = await runtime.succeed(["run", "--bundle", bundle.directory, id]);
    expect(found.get("kernel")?.found).toEndWith(`, ${release.trim()}`);
  });

  test("says by its status, and line by line, what is missing and what to install", async () => {
    const share = join(runtime.directory, "no-share");
    const { env } = configured(
      `[monitors.qemu]\npath = "/no/qemu"\n[runtime]\nengine = "no-engine"\nshare = "${share}"\n`,
    );
    const call = await runtime.call(["doctor"], { env });
    expect(call.exitCode).toBe(1);
    for (const line of [
      /!! +QEMU .*\/no\/qemu.*\n +→ apt-get install qemu-system-x86\n/,
      /!! +engine .*no-engine is not installed\n/,
      /!! +files .*vmlinux is missing/,
      /Containers cannot run as machines here/,
    ]) {
      expect(call.stdout).toMatch(line);
    }
  });

  test("tells an ordinary user what holds without root", async () => {
    const home = await makeBunnyHome("an ordinary user");
    try {
      const words = [...home.argv.slice(0, -1), "urunc", "doctor", "--json"];
      const { stdout, exitCode } = await command(words, { env: home.environment });
      const found = findings({ stdout });
      expect(found.get("virtiofsd")?.found).toContain("without root");
      expect(found.get("user namespaces")?.state).toBe("ok");
      expect(exitCode).toBe(0);
    } finally {
      await home.remove();
    }
  });

  test("a configuration that is broken is an error, and no diagnosis", async () => {
    const { path, env } = configured("[runtime\n");
    const { exitCode, stdout, stderr } = await command([runtimePath, "doctor"], { env });
    expect(exitCode).toBe(1);
    expect(stdout).toBe("");
    expect(stderr).toContain(`${path}, line 1, is not TOML`);
  });
});

const SHARE = resolve(import.meta.dir, "../../dist/share/urunc");
const LINUX = { unikernelType: "linux", hypervisor: "qemu", binary: "/boot/kernel" };

describe("bunny explain", () => {
  let home: BunnyHome;
  let base: string;

  beforeAll(async () => {
    home = await makeBunnyHome("root");
    const { archive } = await ensureImage("busybox");
    base = join(home.directory, "box.tar");
    copyFileSync(archive, base);
    await home.succeed("copy", "-q", `docker-archive:${base}`, "box");
  }, 120_000);

  afterAll(async () => {
    await home?.remove();
  }, 120_000);

  const add = async (name: string, files: Record<string, string>, annotations: Record<string, string>) => {
    const archive = await layOut(home.directory, { base, files, annotations, command: ["/bin/uname", "-r"] });
    chmodSync(archive, 0o644);
    await home.succeed("copy", "-q", `docker-archive:${archive}`, name);
  };

  /** How and why a part is, as it is said. */
  const part = (text: string | undefined, what: string) =>
    new RegExp(`^  ${what} +(.*)\\n +because (.*)$`, "m").exec(text ?? "")?.slice(1);

  /** What is said of an image, by those who would start its machine. */
  const explain = async (called: string) => {
    const { stdout } = await home.run(["explain", called]);
    const [docker, bunny] = stdout.split(/^by .*:$/m).slice(1);
    return { docker: (what: string) => part(docker, what), bunny: (what: string) => part(bunny, what) };
  };

  test("an ordinary image: shared by the runtime, a file system by bunny run, our kernel and agent", async () => {
    const { docker, bunny } = await explain("box");
    expect(docker("root")?.[0]).toMatch(/own root file system, shared by (virtiofs|9p)/);
    expect(bunny("root")?.[0]).toMatch(/^the erofs file system .*, with changes in the guest's memory$/);
    const release = await home.succeed("run", "--rm", "box", "uname", "-r");
    for (const by of [docker, bunny]) {
      const [kernel, why] = by("kernel") ?? [];
      expect(kernel).toEndWith(`, ${release}`);
      expect(why).toBe("the image brings no kernel");
      expect(by("started")?.[0]).toBe("with the agent");
    }
  });

  test("an image's own kernel is named, with why the agent is under it or not", async () => {
    await add("ours", { "/boot/kernel": join(SHARE, "bzImage") }, { ...LINUX, mountRootfs: "true" });
    expect((await explain("ours")).docker("kernel")?.[1]).toBe("the image brings the same");
    const unknown = join(home.directory, "unknown");
    writeFileSync(unknown, "\x7fELF of somebody else");
    await add("unknown", { "/boot/kernel": unknown }, { ...LINUX, mountRootfs: "true" });
    const { docker, bunny } = await explain("unknown");
    expect(bunny("root")).toEqual([
      "the ext4 file system /root.ext4, which is written to",
      "bunny run makes one of the image's layers, a copy for each machine",
    ]);
    expect(docker("kernel")).toEqual(["the image's /boot/kernel", "the image brings a kernel"]);
    expect(docker("started")).toEqual([
      "without the agent, by the kernel's command line",
      "the image's kernel is not known: no configuration stands beside it",
    ]);
  });

  test("what the runtime refuses is said in its words, and by the status", async () => {
    await add("mirage", {}, { unikernelType: "mirage" });
    const { exitCode, stdout } = await home.run(["explain", "mirage"]);
    expect(exitCode).toBe(1);
    expect(stdout).toMatch(/by bunny run:\n {2}refused +the image is a guest of the type "mirage"/);
  });

  test("a bundle is explained as create decides it, which its log says too", async () => {
    const { id, bundle } = await containers.plan(["true"]);
    const [how, why] = part(await home.succeed("explain", bundle.directory), "root") ?? [];
    const { log } = await runtime.succeed(["--debug", "run", "--bundle", bundle.directory, id]);
    expect(log).toContainEqual(
      expect.objectContaining({ level: "debug", msg: expect.stringContaining(`root: ${how} (${why})`) }),
    );
    const { path } = configured('[runtime]\nunannotated = "container"\n');
    const env = { URUNC_CONFIG_FILE: path };
    expect((await home.run(["explain", bundle.directory], { env })).stdout).toContain(
      "the engine's own, by runc",
    );
    const { exitCode, stderr } = await home.run(["explain", dirname(bundle.directory)]);
    expect(exitCode).toBe(1);
    expect(stderr).toContain("config.json does not exist");
  });
});
