import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { DaemonSet } from "kubernetes-models/apps/v1/DaemonSet";
import { Deployment } from "kubernetes-models/apps/v1/Deployment";
import { RuntimeClass } from "kubernetes-models/node.k8s.io/v1/RuntimeClass";
import { ClusterRole } from "kubernetes-models/rbac.authorization.k8s.io/v1/ClusterRole";
import { ClusterRoleBinding } from "kubernetes-models/rbac.authorization.k8s.io/v1/ClusterRoleBinding";
import { Namespace } from "kubernetes-models/v1/Namespace";
import { Service } from "kubernetes-models/v1/Service";
import { ServiceAccount } from "kubernetes-models/v1/ServiceAccount";
import { parseAllDocuments } from "yaml";
import { FILE_SERVER_OVERHEAD_MIB, QEMU_OVERHEAD_MIB } from "../monitor/qemu.ts";
import { NODE_FLAGS } from "../runtime/node.ts";
import { NODE_LABEL } from "./label.ts";

const DIRECTORY = join(import.meta.dir, "../../deploy/kubernetes");
/** Each checks itself by the schema that Kubernetes publishes. */
const KINDS = {
  ...{
    ClusterRole,
    ClusterRoleBinding,
    DaemonSet,
    Deployment,
    Namespace,
    RuntimeClass,
    Service,
    ServiceAccount,
  },
};

type Manifest = { readonly kind: keyof typeof KINDS } & Record<string, unknown>;

function manifestsOf(file: string): Manifest[] {
  return parseAllDocuments(readFileSync(join(DIRECTORY, file), "utf8")).map((document) => {
    if (document.errors.length > 0) throw document.errors[0];
    return document.toJS() as Manifest;
  });
}

function check(manifest: Manifest): void {
  const Kind = KINDS[manifest.kind];
  // biome-ignore lint/suspicious/noExplicitAny: what is read is to be checked
  new Kind(manifest as any).validate();
}

const files = readdirSync(DIRECTORY).filter((file) => file.endsWith(".yaml"));

describe("what is handed to Kubernetes", () => {
  for (const file of files) {
    test(`${file} is what the published schemas say`, () => {
      const manifests = manifestsOf(file);
      expect(manifests.length).toBeGreaterThan(0);
      for (const manifest of manifests) check(manifest);
    });
  }

  test("a manifest that is wrong would be found", () => {
    const [deployment] = manifestsOf("example.yaml");
    const wrong = structuredClone(deployment) as Manifest & { spec: { replicas: unknown } };
    wrong.spec.replicas = "two";
    expect(() => check(wrong)).toThrow("replicas");
  });
});

test("the RuntimeClass's overhead holds what a machine's cgroup is given beside the guest's memory", () => {
  const [runtimeClass] = manifestsOf("runtimeclass.yaml") as unknown as [
    { overhead: { podFixed: { memory: string } }; scheduling: { nodeSelector: Record<string, string> } },
  ];
  const [, memory] = /^(\d+)Mi$/.exec(runtimeClass.overhead.podFixed.memory) ?? [];
  expect(Number(memory)).toBeGreaterThanOrEqual(QEMU_OVERHEAD_MIB + FILE_SERVER_OVERHEAD_MIB);
  expect(runtimeClass.scheduling.nodeSelector[NODE_LABEL]).toBe("true");
});

test("the installers call urunc by flags that it has", () => {
  for (const file of ["install.yaml", "remove.yaml"]) {
    const set = manifestsOf(file).find(({ kind }) => kind === "DaemonSet") as unknown as {
      spec: { template: { spec: { initContainers: { command: string[] }[] } } };
    };
    const words = set.spec.template.spec.initContainers[0]?.command ?? [];
    expect(words.slice(0, 3)).toEqual(["/usr/local/bin/urunc", "node", file.replace(".yaml", "")]);
    for (const word of words.filter((word) => word.startsWith("--"))) {
      expect(Object.keys(NODE_FLAGS)).toContain(word.slice(2));
    }
  }
});
