import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { bringCritestImages, CRITEST, runCritest } from "../harness/critest.ts";
import { type Node, podCgroup, startNode } from "../harness/kubernetes.ts";
import { expectNothingLeft } from "../harness/leaks.ts";

const SECONDS = 900;
setDefaultTimeout((SECONDS + 120) * 1000);

/** Specifications of one kind, and which of them a machine fails for what reason. */
interface Group {
  readonly focus: string;
  readonly skip: string;
  readonly atLeast: number;
  readonly failing: Readonly<Record<string, string>>;
}

const TWO_MACHINES = "it starts a second machine in one pod";
const NODE_NETWORK = "the ports of a machine with the node's network are not the node's";
const CONTAINERD = "containerd 1.6 itself answers so, with runc too";

/**
 * Images come from the internet there; a shell in the image here has an `ls` of its own, whatever is at its path;
 * AppArmor is switched off on this node.
 */
const LEFT_OUT = "Image Manager|MaskedPaths|AppArmor";

/** docs/kubernetes.md, "What was tested, and what was not", has their results. */
const GROUPS: Readonly<Record<string, Group>> = {
  "critest: a machine does what conformance asks of a container": {
    focus: "Conformance",
    skip: LEFT_OUT,
    atLeast: 30,
    failing: {
      "Multiple Containers [Conformance] when running multiple containers in a pod should support network":
        TWO_MACHINES,
      "Multiple Containers [Conformance] when running multiple containers in a pod should support container log":
        TWO_MACHINES,
      "Multiple Containers [Conformance] when running multiple containers in a pod should support container exec":
        TWO_MACHINES,
      "Container runtime should support basic operations on container runtime should support listing stats for three created containers when filter is nil. [Conformance]":
        TWO_MACHINES,
    },
  },
  "critest: a machine has the security context that a container has": {
    focus: "Security Context",
    skip: LEFT_OUT,
    atLeast: 25,
    failing: {
      "Security Context bucket runtime should support adding capability": TWO_MACHINES,
      "Security Context NamespaceOption runtime should support HostPID": TWO_MACHINES,
      "Security Context NamespaceOption runtime should support HostIpc is true":
        "shared memory of the node is not a guest's",
      "Security Context NamespaceOption runtime should support HostNetwork is true": NODE_NETWORK,
    },
  },
  "critest: a machine does what else is asked of a container": {
    focus: "",
    skip: `Conformance|Security Context|${LEFT_OUT}`,
    atLeast: 12,
    failing: {
      "Streaming runtime should support streaming interfaces runtime should support portforward in host network":
        NODE_NETWORK,
      "Container Mount Propagation runtime should support mount propagation mount with 'rshared' should support propagation from host to container and vice versa":
        "what a guest mounts is not seen on the node",
      "Container Mount Readonly runtime should support readonly mounts should support non-recursive readonly mounts":
        "a read-only volume is so with all that the node has mounted in it",
      "Container OOM runtime should output OOMKilled reason should terminate with exitCode 137 and reason OOMKilled":
        "a machine does not boot in the 15 MiB that it gives",
      "Idempotence StopPodSandbox should not return an error if not found": CONTAINERD,
      "Idempotence StopContainer should not return an error if not found": CONTAINERD,
    },
  },
};

let node: Node | undefined;

beforeAll(async () => {
  if (CRITEST === null) return;
  node = await startNode("critest", []);
  await bringCritestImages(node);
}, 600_000);

afterAll(async () => {
  if (node === undefined) return;
  await node.stop();
  await expectNothingLeft([node.directory, podCgroup(node)]);
}, 120_000);

for (const [name, { focus, skip, atLeast, failing }] of Object.entries(GROUPS)) {
  test.skipIf(CRITEST === null)(name, async () => {
    const results = await runCritest(node as Node, "urunc", { focus, skip, seconds: SECONDS });
    const failed = results.filter(({ state }) => state !== "passed" && state !== "skipped");
    expect(failed.map(({ name }) => name).sort()).toEqual(Object.keys(failing).sort());
    expect(results.length).toBeGreaterThanOrEqual(atLeast);
  });
}
