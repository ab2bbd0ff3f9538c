import { afterAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { placeOf } from "./places.ts";
import { restartCommand } from "./restart.ts";

const directory = mkdtempSync(join(tmpdir(), "urunc-node-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

function hostWith(files: Record<string, string>): string {
  const root = mkdtempSync(join(directory, "host-"));
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  return root;
}

describe("where a node's containerd is told", () => {
  test("kubeadm's", () => {
    expect(placeOf(hostWith({}))).toMatchObject({
      path: "/etc/containerd/config.toml",
      units: ["containerd"],
    });
  });

  for (const [distribution, version, file] of [
    ["k3s", 2, "config.toml.tmpl"],
    ["k3s", 3, "config-v3.toml.tmpl"],
    ["rke2", 3, "config-v3.toml.tmpl"],
  ] as const) {
    test(`${distribution}'s template for version ${version}`, () => {
      const place = `/var/lib/rancher/${distribution}/agent/etc/containerd`;
      const found = placeOf(hostWith({ [`${place}/config.toml`]: `version = ${version}\n` }));
      expect(found).toMatchObject({ distribution, path: `${place}/${file}`, kind: { version } });
      expect(found.units.every((unit) => unit.startsWith(distribution))).toBe(true);
    });
  }

  test("k3s that has never run is refused", () => {
    expect(() => placeOf(hostWith({ "/var/lib/rancher/k3s/agent/x": "" }))).toThrow("start it once");
  });
});

test("units are started again by the host's own systemd, if they run", () => {
  expect(restartCommand(["k3s", "k3s-agent"]).join(" ")).toBe(
    "nsenter --target=1 --mount --uts --ipc --net --pid -- systemctl try-restart k3s.service k3s-agent.service",
  );
});
