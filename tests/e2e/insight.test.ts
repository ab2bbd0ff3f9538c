import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "smol-toml";
import { type Containers, openContainers } from "../harness/containers.ts";
import type { Runtime } from "../harness/runtime.ts";

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
