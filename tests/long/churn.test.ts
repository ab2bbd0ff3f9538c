import { expect, test } from "bun:test";
import { until } from "../harness/command.ts";
import { type Containers, openContainers } from "../harness/containers.ts";
import { makeNetns, type Netns } from "../harness/netns.ts";

/** Machines in all; fewer where only a part is to be seen. */
const MACHINES = Number(process.env["URUNC_CHURN"] ?? 500);
/** Machines at a time: more than there are processors. */
const LANES = 4;

test(`${MACHINES} machines come and go in every way, several at a time, and leave nothing`, async () => {
  const containers = await openContainers("debian");
  let done = 0;
  const next = () => (done < MACHINES ? done++ : undefined);
  try {
    await Promise.all(Array.from({ length: LANES }, () => churn(containers, next)));
  } finally {
    await containers.close();
  }
  expect(done).toBe(MACHINES);
}, 3_600_000);

/** In a network namespace of the lane's own, which outlives its machines: what is left in it can be seen. */
async function churn(containers: Containers, next: () => number | undefined): Promise<void> {
  const netns = await makeNetns();
  try {
    for (let number = next(); number !== undefined; number = next()) {
      await live(containers, netns, number % 5);
      expect(await netns.additions()).toEqual([]);
    }
  } finally {
    await netns.remove();
  }
}

/** One life, of five kinds. */
async function live(containers: Containers, netns: Netns, way: number): Promise<void> {
  const { runtime } = containers;
  const words = way === 0 ? ["sh", "-c", "echo up; exit 3"] : ["sh", "-c", "echo up; exec sleep 1000"];
  const container = await containers.plan(words, (config) => {
    for (const namespace of config.linux.namespaces) {
      if (namespace.type === "network") namespace.path = netns.path;
    }
  });
  if (way === 0) {
    const { exitCode, stdout } = await runtime.call([
      ...["run", "--bundle", container.bundle.directory, container.id],
    ]);
    expect([exitCode, stdout]).toEqual([3, "up\n"]);
  } else {
    const call = await containers.create(container);
    if (way !== 1) await runtime.succeed(["start", container.id]);
    if (way === 3) {
      await until("the application has written", () => call.output().stdout === "up\n");
      await runtime.succeed(["kill", container.id, "KILL"]);
      await runtime.untilStatus(container.id, "stopped");
      expect(call.output().stdout).toBe("up\n");
    } else if (way === 4) {
      process.kill((await runtime.state(container.id)).pid, "SIGKILL");
    }
    await runtime.succeed(["delete", ...(way === 3 ? [] : ["--force"]), container.id]);
  }
  await containers.expectGone(container.id);
  container.bundle.remove();
}
