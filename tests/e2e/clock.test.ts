import { expect, setDefaultTimeout, test } from "bun:test";
import { type Ahead, CLOCK, startClock } from "../harness/clock.ts";
import { openContainers } from "../harness/containers.ts";

setDefaultTimeout(120_000);

const MOST = 50;

function expectRight({ least, most }: Ahead): void {
  expect(least).toBeLessThan(MOST);
  expect(most).toBeGreaterThan(-MOST);
}

test("the clock is the host's, from the start on and after a pause", async () => {
  const containers = await openContainers("debian");
  try {
    const container = await containers.plan(CLOCK);
    const clock = startClock(containers.runtime, container);
    expectRight(await clock.ahead());
    await containers.runtime.succeed(["pause", container.id]);
    await Bun.sleep(3000);
    await containers.runtime.succeed(["resume", container.id]);
    expectRight(await clock.ahead());
    expect(await clock.end()).toBe(0);
  } finally {
    await containers.close();
  }
}, 300_000);
