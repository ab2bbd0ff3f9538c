import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { UruncError } from "../errors.ts";
import { type ConfigKind, configVersion } from "./containerd-config.ts";

/** A file by which a node's containerd is told, and what reads it again. */
export interface Place {
  readonly distribution: "containerd" | "k3s" | "rke2";
  /** On the host. */
  readonly path: string;
  readonly kind: ConfigKind;
  /** The file of which containerd's own handler is seen, on the host; it may be missing. */
  readonly effective: string;
  /** systemd's units, of which those that run are to be started again. */
  readonly units: readonly string[];
}

/** kubeadm's nodes, and others with a containerd of the distribution's. */
const CONTAINERD = "/etc/containerd/config.toml";
const TEMPLATES = ["config.toml.tmpl", "config-v3.toml.tmpl"] as const;

/**
 * Where containerd is told on the host below `root`: k3s and rke2 write its configuration anew at each start, from a
 * template beside it whose name depends on the configuration's version.
 *
 * @throws UruncError `config-invalid`: k3s or rke2 has not written its configuration yet
 */
export function placeOf(root: string): Place {
  for (const distribution of ["k3s", "rke2"] as const) {
    const agent = `/var/lib/rancher/${distribution}/agent`;
    const effective = `${agent}/etc/containerd/config.toml`;
    if (!existsSync(join(root, agent))) continue;
    if (!existsSync(join(root, effective))) {
      throw new UruncError(
        "config-invalid",
        `${distribution} has not written ${effective} yet: start it once before urunc is installed`,
      );
    }
    const version = configVersion(readFileSync(join(root, effective), "utf8"));
    return {
      distribution,
      path: `${agent}/etc/containerd/${TEMPLATES[version >= 3 ? 1 : 0]}`,
      kind: { kind: "template", version },
      effective,
      units: distribution === "k3s" ? ["k3s", "k3s-agent"] : ["rke2-server", "rke2-agent"],
    };
  }
  return {
    distribution: "containerd",
    path: CONTAINERD,
    kind: { kind: "toml" },
    effective: CONTAINERD,
    units: ["containerd"],
  };
}

/** All files to which something may have been added, whichever version there was then. */
export function placesOf(root: string): Pick<Place, "path" | "units">[] {
  const rancher = (["k3s", "rke2"] as const).flatMap((distribution) =>
    TEMPLATES.map((name) => ({
      path: `/var/lib/rancher/${distribution}/agent/etc/containerd/${name}`,
      units: distribution === "k3s" ? ["k3s", "k3s-agent"] : ["rke2-server", "rke2-agent"],
    })),
  );
  return [{ path: CONTAINERD, units: ["containerd"] }, ...rancher].filter(({ path }) =>
    existsSync(join(root, path)),
  );
}
