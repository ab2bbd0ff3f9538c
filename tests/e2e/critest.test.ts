import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { CRITEST, runCritest } from "../harness/critest.ts";
import { type Node, podCgroup, startNode } from "../harness/kubernetes.ts";
import { expectNothingLeft } from "../harness/leaks.ts";

setDefaultTimeout(400_000);

/** What needs two machines in one pod (docs/kubernetes.md, "What a pod has"). */
const OTHERWISE = [/^Multiple Containers /];

let node: Node | undefined;

beforeAll(async () => {
  if (CRITEST !== null) node = await startNode("critest", ["busybox", "nginx"]);
}, 600_000);

afterAll(async () => {
  if (node === undefined) return;
  await node.stop();
  await expectNothingLeft([node.directory, podCgroup(node)]);
}, 120_000);

test.skipIf(CRITEST === null)("critest: a machine does what conformance asks of a container", async () => {
  // Images come from the internet there; the image in the place of busybox's has no `pgrep`.
  const chosen = { focus: "\\[Conformance\\]", skip: "Image Manager|execSync with timeout", seconds: 300 };
  const results = await runCritest(node as Node, "urunc", chosen);
  const failed = results.filter(({ state }) => state !== "passed").map(({ name }) => name);
  expect(failed.filter((name) => !OTHERWISE.some((pattern) => pattern.test(name)))).toEqual([]);
  expect(results.length).toBeGreaterThan(30);
});
