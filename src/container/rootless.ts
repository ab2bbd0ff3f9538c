import type { Spec } from "../oci/runtime-spec.ts";

/** Who calls the runtime, where that is not root. */
export interface OrdinaryUser {
  uid: number;
  gid: number;
}

/** Undefined: it is root. */
export function ordinaryUser(): OrdinaryUser | undefined {
  const uid = process.geteuid?.() ?? 0;
  return uid === 0 ? undefined : { uid, gid: process.getegid?.() ?? 0 };
}

/**
 * A sandbox that a user without rights can have made: in a user namespace in which that user is root, and nobody else
 * exists. What only the host's root can give is left out: control groups, and so every limit but the machine's own size.
 * The guest knows nothing of it: its users are its own.
 */
export function rootlessSandbox(sandbox: Spec, user: OrdinaryUser): Spec {
  const { cgroupsPath: _path, resources: _resources, ...linux } = sandbox.linux ?? {};
  const { oomScoreAdj: _score, ...process } = sandbox.process;
  return {
    ...sandbox,
    process,
    linux: {
      ...linux,
      namespaces: [...(linux.namespaces ?? []), { type: "user" }],
      uidMappings: [{ containerID: 0, hostID: user.uid, size: 1 }],
      gidMappings: [{ containerID: 0, hostID: user.gid, size: 1 }],
    },
  };
}
