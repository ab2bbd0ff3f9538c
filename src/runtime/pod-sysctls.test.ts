import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ContainerDirectory } from "../container/directory.ts";
import type { Spec } from "../oci/runtime-spec.ts";
import { withPodSysctls } from "./pod-sysctls.ts";

let root: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "pod-sysctls-"));
});

afterEach(() => rmSync(root, { recursive: true }));

const process = { args: ["app"], cwd: "/", user: { uid: 0, gid: 0 } };

function specOf(annotations: Record<string, string>, sysctl?: Record<string, string>): Spec {
  const linux = sysctl === undefined ? {} : { linux: { sysctl } };
  return { ociVersion: "1.0.2", process, root: { path: "rootfs" }, annotations, ...linux };
}

/** A container's record, and its bundle. */
function add(id: string, sysctl?: Record<string, string>): void {
  const bundle = join(root, `bundle-${id}`);
  mkdirSync(bundle);
  writeFileSync(join(bundle, "config.json"), JSON.stringify(specOf({}, sysctl)));
  const { path } = new ContainerDirectory(root, id);
  mkdirSync(path, { recursive: true });
  writeFileSync(join(path, "container.json"), JSON.stringify({ version: 1, id, bundle, kind: "engine" }));
}

const CRI = { "io.kubernetes.cri.container-type": "container", "io.kubernetes.cri.sandbox-id": "pause" };
const CRI_O = {
  "io.kubernetes.cri-o.ContainerType": "container",
  "io.kubernetes.cri-o.SandboxID": "pause",
};

test("a pod's kernel parameters are its container's, whose own prevail", () => {
  add("pause", { "kernel.shm_rmid_forced": "1", "net.core.somaxconn": "77" });
  const own = { "net.core.somaxconn": "5" };
  for (const annotations of [CRI, CRI_O]) {
    expect(withPodSysctls(specOf(annotations), root).linux?.sysctl?.["net.core.somaxconn"]).toBe("77");
    expect(withPodSysctls(specOf(annotations, own), root).linux?.sysctl).toEqual({
      "kernel.shm_rmid_forced": "1",
      "net.core.somaxconn": "5",
    });
  }
});

test("a sandbox that has none, that is not ours or that is none changes nothing", () => {
  add("pause");
  const others = [CRI, { ...CRI, "io.kubernetes.cri.sandbox-id": "other" }, {}];
  for (const annotations of [...others, { "io.kubernetes.cri.sandbox-id": "pause" }]) {
    const spec = specOf(annotations);
    expect(withPodSysctls(spec, root)).toEqual(spec);
  }
});

test("a sandbox's name is no path", () => {
  const annotations = { ...CRI, "io.kubernetes.cri.sandbox-id": "../pause" };
  expect(() => withPodSysctls(specOf(annotations), root)).toThrow("id");
});
