import { UruncError } from "../errors.ts";
import type { Resources } from "../oci/runtime-spec.ts";

const MIB = 1024 * 1024;

/**
 * The least memory a guest boots with and runs a small program, in MiB: measured with `/bin/true` from a 9p root
 * (`docs/architecture.md`, "Memory").
 */
export const MINIMUM_MEMORY_MIB = 40;

/** The guest kernel's CONFIG_NR_CPUS. */
const MOST_VCPUS = 32;

export interface MachineSize {
  memoryMiB: number;
  vcpus: number;
}

export interface SizeDefaults {
  memoryMiB: number;
  vcpus: number;
}

/**
 * The machine's memory and virtual CPUs from the container's limits: the memory limit is what the guest has, the
 * CPU quota is rounded up to whole CPUs.
 *
 * @throws UruncError `memory-too-small`
 */
export function machineSize(resources: Resources | undefined, defaults: SizeDefaults): MachineSize {
  const limit = resources?.memory?.limit ?? 0;
  const memoryMiB = limit > 0 ? Math.floor(limit / MIB) : defaults.memoryMiB;
  if (memoryMiB < MINIMUM_MEMORY_MIB) {
    throw new UruncError(
      "memory-too-small",
      `a memory limit of ${memoryMiB} MiB is too small to boot a virtual machine: ` +
        `give at least ${MINIMUM_MEMORY_MIB} MiB (docker run --memory ${MINIMUM_MEMORY_MIB}m)`,
    );
  }
  return { memoryMiB, vcpus: Math.min(vcpusOf(resources, defaults.vcpus), MOST_VCPUS) };
}

function vcpusOf(resources: Resources | undefined, fallback: number): number {
  const { quota, period } = resources?.cpu ?? {};
  if (quota === undefined || quota <= 0) return fallback;
  return Math.max(1, Math.ceil(quota / (period && period > 0 ? period : 100_000)));
}

/**
 * The limits of the cgroup that holds the monitor: the container's, with the memory that the monitor needs besides
 * the guest's added, and no device but those named.
 */
export function sandboxResources(
  resources: Resources | undefined,
  memoryMiB: number,
  overheadMiB: number,
  devices: readonly { major: number; minor: number }[],
): Resources {
  const limit = (memoryMiB + overheadMiB) * MIB;
  const { memory = {}, pids: _guestPids, devices: _guestDevices, ...rest } = resources ?? {};
  const { kernel: _kernel, kernelTCP: _kernelTcp, swap, reservation, ...memoryRest } = memory;
  return {
    ...rest,
    memory: {
      ...memoryRest,
      limit,
      ...(reservation === undefined ? {} : { reservation: reservation + overheadMiB * MIB }),
      ...(swap === undefined ? {} : { swap: swap > 0 ? swap + limit - (memory.limit ?? 0) : swap }),
    },
    pids: { limit: MONITOR_THREADS },
    devices: [
      { allow: false, access: "rwm" },
      ...devices.map(({ major, minor }) => ({ allow: true, type: "c", major, minor, access: "rw" })),
    ],
  };
}

/** The stand-in, and the monitor's threads: one for each vCPU, and QEMU's pool of at most 64 workers for 9p. */
const MONITOR_THREADS = 256;
