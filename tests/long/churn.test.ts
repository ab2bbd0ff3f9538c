import { expect, test } from "bun:test";
import { until } from "../harness/command.ts";
import { type Containers, openContainers } from "../harness/containers.ts";

/** Machines at a time: more than there are processors. */
const LANES = 4;
const ROUNDS = 25;

test("machines come and go in every way, several at a time, and leave nothing", async () => {
  const containers = await openContainers("debian");
  try {
    await Promise.all(Array.from({ length: LANES }, (_, lane) => churn(containers, lane)));
  } finally {
    await containers.close();
  }
}, 1_800_000);

async function churn(containers: Containers, lane: number): Promise<void> {
  const { runtime } = containers;
  for (let round = 0; round < ROUNDS; round++) {
    const container = await containers.plan(["sh", "-c", "echo up; exec sleep 1000"]);
    const call = await containers.create(container);
    const way = (lane + round) % 4;
    if (way !== 0) await runtime.succeed(["start", container.id]);
    if (way === 2) {
      await until("the application has written", () => call.output().stdout === "up\n");
      await runtime.succeed(["kill", container.id, "KILL"]);
      await runtime.untilStatus(container.id, "stopped");
      expect(call.output().stdout).toBe("up\n");
      await runtime.succeed(["delete", container.id]);
    } else if (way === 3) {
      process.kill((await runtime.state(container.id)).pid, "SIGKILL");
      await runtime.succeed(["delete", "--force", container.id]);
    } else {
      await runtime.succeed(["delete", "--force", container.id]);
    }
    await containers.expectGone(container.id);
  }
}
