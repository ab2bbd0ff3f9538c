import { UruncError } from "../errors.ts";
import { type DirectAddress, type DirectBoot, type DirectContainer, planDirect } from "../guest/direct.ts";
import { unikernelWords } from "../guest/unikernel.ts";
import type { GuestNetwork } from "../network/guest-network.ts";
import type { Mount, Spec } from "../oci/runtime-spec.ts";
import { VOLUME_SERIAL } from "../rootfs/source.ts";
import type { VmRecord } from "./directory.ts";
import { isBind } from "./guest-plan.ts";

/** Files that a container's client makes; they can be added to an initrd, and are no loss where they cannot. */
export const CLIENT_FILES: readonly string[] = ["/etc/resolv.conf", "/etc/hosts", "/etc/hostname"];

/**
 * What the kernel of a container without the agent is started with.
 *
 * @throws UruncError `not-supported`: what a command line cannot say
 */
export function directBoot(
  record: Pick<VmRecord, "spec" | "hostname" | "share" | "way">,
  network: GuestNetwork,
): DirectBoot {
  const { spec, way } = record;
  if (way.unikernel !== undefined) {
    const { args } = spec.process;
    const hasInitrd = way.root.kind === "initrd";
    return { words: unikernelWords({ ...way.unikernel, args, address: directAddress(network), hasInitrd }) };
  }
  return planDirect({
    process: spec.process,
    hostname: spec.hostname ?? record.hostname,
    root: directRoot(record),
    readOnly: way.root.kind === "overlay" || spec.root.readonly === true,
    address: directAddress(network),
    volume:
      way.volume === undefined ? undefined : { serial: VOLUME_SERIAL, mountPoint: way.volume.mountPoint },
  });
}

function directRoot({ way, share }: Pick<VmRecord, "share" | "way">): DirectContainer["root"] {
  switch (way.root.kind) {
    case "share":
      if (share.kind !== "initramfs") return share.kind;
      throw new UruncError("internal", "a root that no monitor shares cannot be one");
    case "initrd":
      return "initrd";
    default:
      return "block";
  }
}

/** The first interface's that has a default route, or else the first's that has an address: the line has room for one. */
function directAddress(network: GuestNetwork): DirectAddress | undefined {
  if (network.kind === "none") return undefined;
  const found = network.links.flatMap(({ addresses, routes }, index) => {
    const address = addresses.find(({ family }) => family === 4);
    if (address === undefined) return [];
    const route = routes.find(({ family, prefixLength }) => family === 4 && prefixLength === 0);
    const { prefixLength } = address;
    // As the kernel counts them; the interface's own name is the host's.
    return [{ address: address.address, prefixLength, gateway: route?.gateway, device: `eth${index}` }];
  });
  return found.find(({ gateway }) => gateway !== undefined) ?? found[0];
}

/**
 * Refuses what the guest could not have without the agent, and nobody would miss at once.
 *
 * @throws UruncError `not-supported`
 */
export function refuseForDirect(spec: Spec, root: VmRecord["way"]["root"]["kind"]): void {
  const lost = (spec.mounts ?? []).find((mount) => isLost(mount, root));
  if (lost === undefined) return;
  const why =
    root === "share" ? "the guest's own file systems are there" : "its root is not shared with the host";
  throw new UruncError(
    "not-supported",
    `the volume at ${lost.destination} cannot reach a guest without the agent, as ${why}: leave the volume away, or ` +
      "com.urunc.unikernel.binary, so that our kernel and its agent run the image",
  );
}

function isLost(mount: Mount, root: string): boolean {
  if (!isBind(mount)) return false;
  if (root !== "share") return !CLIENT_FILES.includes(mount.destination);
  return /^\/(proc|sys|dev)(\/|$)/.test(mount.destination);
}

/** The client's own files, of those that are bound into the container: sources by their places. */
export function clientFiles({ mounts = [] }: Spec): { destination: string; source: string }[] {
  return mounts
    .filter((mount) => isBind(mount) && CLIENT_FILES.includes(mount.destination))
    .map(({ destination, source = "" }) => ({ destination, source }));
}
