import { expect, test } from "bun:test";
import { CLOCK, startClock } from "../harness/clock.ts";
import { openContainers } from "../harness/containers.ts";

test("over 60 seconds the clock drifts from the host's by less than 50 ms", async () => {
  const containers = await openContainers("debian");
  try {
    const clock = startClock(containers.runtime, await containers.plan(CLOCK));
    const before = await clock.ahead();
    await Bun.sleep(60_000);
    const after = await clock.ahead();
    console.log(`ahead of the host's at first ${show(before)}, after 60 s ${show(after)}`);
    expect(after.least - before.most).toBeLessThan(50);
    expect(after.most - before.least).toBeGreaterThan(-50);
    expect(await clock.end()).toBe(0);
  } finally {
    await containers.close();
  }
}, 300_000);

function show({ least, most }: { least: number; most: number }): string {
  return `${least.toFixed(1)} to ${most.toFixed(1)} ms`;
}
