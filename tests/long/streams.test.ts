import { expect, test } from "bun:test";
import { type Containers, openContainers } from "../harness/containers.ts";
import { putPattern, runPiped, sha256 } from "../harness/streams.ts";

const LENGTH = 8 * 1024 * 1024;
const LANES = 2;
const ROUNDS = 50;

test("8 MiB and an exit at once arrive whole, 100 times", async () => {
  const containers = await openContainers("debian");
  try {
    await Promise.all(Array.from({ length: LANES }, () => rounds(containers)));
  } finally {
    await containers.close();
  }
}, 1_800_000);

async function rounds(containers: Containers): Promise<void> {
  const container = await containers.plan(["sh", "-c", "cat /pattern; exit 7"]);
  const wanted = putPattern(container.bundle, "pattern", LENGTH);
  for (let round = 0; round < ROUNDS; round++) {
    const child = runPiped(containers.runtime, container);
    const [bytes, status] = await Promise.all([new Response(child.stdout).bytes(), child.exited]);
    expect([status, bytes.length, sha256(bytes)]).toEqual([7, LENGTH, wanted]);
  }
}
