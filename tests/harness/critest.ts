import { readFileSync } from "node:fs";
import { join } from "node:path";
import { command } from "./command.ts";
import { containerdSocket } from "./docker-layout.ts";
import { type Handler, type Node, podCgroup } from "./kubernetes.ts";

/** What kubernetes-sigs/cri-tools builds of its `cmd/critest` (`go test -c`); null where it is not installed. */
export const CRITEST = Bun.which("critest");

/** Names of the images that it asks for, which are not pulled where they are there; of ours those that do the same. */
const IMAGES: Readonly<Record<string, string>> = {
  "registry.k8s.io/e2e-test-images/busybox:1.29-2": "busybox",
  "registry.k8s.io/e2e-test-images/nginx:1.14-2": "nginx",
  "registry.k8s.io/e2e-test-images/httpd:2.4.39-4": "nginx",
};

/** Of one specification of its: `passed`, `failed`, `skipped` or what else Ginkgo says. */
export interface Specification {
  readonly name: string;
  readonly state: string;
  readonly failure: string;
}

/** Runs those of its specifications whose names match one expression and not the other. */
export async function runCritest(
  node: Node,
  handler: Handler,
  { focus, skip, seconds }: { focus: string; skip: string; seconds: number },
): Promise<Specification[]> {
  if (CRITEST === null) throw new Error("critest is not installed");
  for (const [name, image] of Object.entries(IMAGES)) {
    await node.containerd.run(["images", "tag", `docker.io/urunc-test/${image}:latest`, name]);
  }
  const report = join(node.directory, `critest-${handler}.json`);
  const endpoint = `unix://${containerdSocket(node.containerd.layout)}`;
  const flags = [
    ...[`-runtime-endpoint=${endpoint}`, `-image-endpoint=${endpoint}`, `-runtime-handler=${handler}`],
    ...[`-ginkgo.focus=${focus}`, `-ginkgo.skip=${skip}`, `-ginkgo.json-report=${report}`],
    ...[`-ginkgo.timeout=${seconds}s`, "-ginkgo.no-color"],
  ];
  // Its client reads streams where containerd's server listens.
  const { stdout, stderr } = await command(node.containerd.inNetwork([CRITEST, ...flags]), {
    timeoutMs: (seconds + 60) * 1000,
  });
  try {
    return specificationsOf(readFileSync(report, "utf8"));
  } catch (cause) {
    throw new Error(`critest has no report (cgroups: ${podCgroup(node)})\n${stdout}${stderr}`, { cause });
  }
}

function specificationsOf(text: string): Specification[] {
  const suites = JSON.parse(text) as {
    SpecReports: {
      LeafNodeType: string;
      LeafNodeText: string;
      ContainerHierarchyTexts: string[] | null;
      State: string;
      RunTime: number;
      Failure?: { Message: string };
    }[];
  }[];
  return suites
    .flatMap(({ SpecReports }) => SpecReports)
    .filter(({ LeafNodeType, RunTime }) => LeafNodeType === "It" && RunTime > 0)
    .map(({ ContainerHierarchyTexts, LeafNodeText, State, Failure }) => ({
      name: [...(ContainerHierarchyTexts ?? []), LeafNodeText].join(" ").replace("[k8s.io] ", ""),
      state: State,
      failure: Failure?.Message ?? "",
    }));
}
