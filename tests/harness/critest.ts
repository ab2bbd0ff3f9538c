import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { command, until } from "./command.ts";
import { critestImages } from "./critest-images.ts";
import { containerdSocket } from "./docker-layout.ts";
import { type Handler, type Node, podCgroup } from "./kubernetes.ts";

/** What kubernetes-sigs/cri-tools builds of its `cmd/critest` (`go test -c`); null where it is not installed. */
export const CRITEST = Bun.which("critest");

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
  const report = join(node.directory, `critest-${handler}.json`);
  const endpoint = `unix://${containerdSocket(node.containerd.layout)}`;
  const flags = [
    ...[`-runtime-endpoint=${endpoint}`, `-image-endpoint=${endpoint}`, `-runtime-handler=${handler}`],
    ...[`-ginkgo.focus=${focus}`, `-ginkgo.skip=${skip}`, `-ginkgo.json-report=${report}`],
    ...[`-ginkgo.timeout=${seconds}s`, "-ginkgo.no-color"],
  ];
  const before = sharedMemory();
  // Its client reads streams where containerd's server listens.
  const { stdout, stderr } = await command(node.containerd.inNetwork([CRITEST, ...flags]), {
    timeoutMs: (seconds + 60) * 1000,
  });
  // It leaves what it has made to see whether a container shares it.
  for (const id of sharedMemory().filter((id) => !before.includes(id))) await command(["ipcrm", "-m", id]);
  try {
    return specificationsOf(readFileSync(report, "utf8"));
  } catch (cause) {
    throw new Error(`critest has no report (cgroups: ${podCgroup(node)})\n${stdout}${stderr}`, { cause });
  }
}

/** The ids of those segments of shared memory that are as large as what critest makes, and that nobody uses. */
function sharedMemory(): string[] {
  const lines = readFileSync("/proc/sysvipc/shm", "utf8").trim().split("\n").slice(1);
  const fields = lines.map((line) => line.trim().split(/\s+/));
  return fields.flatMap(([, id = "", , size, , , users]) =>
    size === "1048576" && users === "0" ? [id] : [],
  );
}

/** Brings what it would pull. */
export async function bringCritestImages(node: Node): Promise<void> {
  for (const { archive, reference } of await critestImages(node.directory)) {
    await node.containerd.succeed(["images", "import", archive]);
    rmSync(archive);
    const image = { image: reference };
    await until(`${reference} is known`, async () => (await node.cri.imageStatus({ image })).image);
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
