import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { release } from "node:os";
import { join } from "node:path";
import { type Containers, openContainers } from "../harness/containers.ts";
import { runsMachines } from "../harness/runtime.ts";

setDefaultTimeout(90_000);

let containers: Containers;

beforeAll(async () => {
  containers = await openContainers("busybox");
}, 300_000);

afterAll(async () => {
  await containers?.close();
}, 120_000);

describe.if(runsMachines)("what becomes a machine", () => {
  const isMachine = (stdout: string) => {
    const kernel = stdout.trim();
    expect(kernel.endsWith("-urunc") || kernel === release()).toBe(true);
    return kernel.endsWith("-urunc");
  };

  test("a pod's sandbox container is the engine's", async () => {
    for (const [key, value] of [
      ["io.kubernetes.cri.container-type", "sandbox"],
      ["io.kubernetes.cri-o.ContainerType", "sandbox"],
    ] as const) {
      const container = await containers.plan(["uname", "-r"], (config) => {
        config.annotations = { [key]: value };
      });
      const call = await containers.create(container);
      expect((await containers.runtime.state(container.id)).bundle).toBe(container.bundle.directory);
      await containers.runtime.succeed(["start", container.id]);
      await containers.runtime.untilStatus(container.id, "stopped");
      expect(isMachine(call.output().stdout)).toBe(false);
      await containers.runtime.succeed(["delete", container.id]);
      await containers.expectGone(container.id);
    }
  });

  test("the configuration says what a container without annotations becomes", async () => {
    const file = join(containers.runtime.directory, "config.toml");
    writeFileSync(file, '[runtime]\nunannotated = "container"\n');
    const env = { ...(process.env as Record<string, string>), URUNC_CONFIG_FILE: file };
    const plain = await containers.plan(["uname", "-r"]);
    const words = ["run", "--bundle", plain.bundle.directory, plain.id];
    expect(isMachine((await containers.runtime.succeed(words, { env })).stdout)).toBe(false);
    await containers.expectGone(plain.id);

    const marked = await containers.plan(["uname", "-r"], (config) => {
      config.annotations = { "com.urunc.unikernel.hypervisor": "qemu" };
    });
    const markedWords = ["run", "--bundle", marked.bundle.directory, marked.id];
    expect(isMachine((await containers.runtime.succeed(markedWords, { env })).stdout)).toBe(true);
    await containers.expectGone(marked.id);
  });
});
