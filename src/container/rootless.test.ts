import { expect, test } from "bun:test";
import type { Spec } from "../oci/runtime-spec.ts";
import { rootlessSandbox } from "./rootless.ts";

test("without root the sandbox has a user namespace of one user, and no control group", () => {
  const sandbox: Spec = {
    ociVersion: "1.0.2",
    process: { user: { uid: 0, gid: 0 }, args: ["x"], cwd: "/", oomScoreAdj: -500 },
    root: { path: "/r", readonly: true },
    linux: {
      namespaces: [{ type: "pid" }],
      cgroupsPath: "/a",
      resources: { memory: { limit: 1 } },
      maskedPaths: ["/proc/kcore"],
    },
  };
  expect(rootlessSandbox(sandbox, { uid: 1000, gid: 100 })).toEqual({
    ociVersion: "1.0.2",
    process: { user: { uid: 0, gid: 0 }, args: ["x"], cwd: "/" },
    root: { path: "/r", readonly: true },
    linux: {
      namespaces: [{ type: "pid" }, { type: "user" }],
      uidMappings: [{ containerID: 0, hostID: 1000, size: 1 }],
      gidMappings: [{ containerID: 0, hostID: 100, size: 1 }],
      maskedPaths: ["/proc/kcore"],
    },
  });
});
