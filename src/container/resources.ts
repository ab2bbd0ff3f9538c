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
 * the guest's added, and no device but those named, which are character devices where they do not say.
 */
export function sandboxResources(
  resources: Resources | undefined,
  memoryMiB: number,
  overheadMiB: number,
  devices: readonly { type?: "b" | "c"; major: number; minor: number }[],
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
      ...devices.map(({ type = "c", major, minor }) => ({ allow: true, type, major, minor, access: "rw" })),
    ],
  };
}

/**
 * The bytes that a process of the sandbox has taken when the kernel kills it for lack of memory: the cgroup's limit,
 * with swap, and a little. Undefined where it is not killed.
 */
export function exhaustingMemory(sandbox: Resources): number | undefined {
  const { limit = 0, swap = 0, ...rest } = sandbox.memory ?? {};
  if (limit <= 0 || rest["disableOOMKiller"] === true) return undefined;
  return Math.max(limit, swap) + 16 * MIB;
}

/** The most that Linux takes as `pids.max`; more processes there cannot be. */
const PIDS_MOST = 4 * 1024 * 1024;

/** The limits of the guest's own control group, as [file, value]: the number of processes, where 0 says nothing. */
export function guestLimits(resources: Resources | undefined): [file: string, value: string][] {
  const limit = Math.trunc(resources?.pids?.limit ?? 0);
  return limit === 0 ? [] : [["pids.max", limit > 0 && limit <= PIDS_MOST ? String(limit) : "max"]];
}

/** The stand-in, and the monitor's threads: one for each vCPU, and QEMU's pool of at most 64 workers for 9p. */
const MONITOR_THREADS = 256;
