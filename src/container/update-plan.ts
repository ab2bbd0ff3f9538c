import { UruncError } from "../errors.ts";
import type { Resources } from "../oci/runtime-spec.ts";
import type { VmRecord } from "./directory.ts";
import { guestLimits } from "./resources.ts";

const MIB = 1024 * 1024;
/** Microseconds: Linux's default, where a quota is given without a period. */
const CPU_PERIOD = 100_000;

/** What is to be changed, and where. */
export interface UpdatePlan {
  /** Files of the guest's own control group. */
  guest: [file: string, value: string][];
  /** What the engine is to change of the sandbox's; undefined: nothing. */
  engine?: Resources;
}

/**
 * Plans a change of the limits of a machine that runs. What is absent, 0 or empty stays as it is, as runc has it.
 *
 * The memory that the machine was started with is the most it can have. Less is a limit inside the guest; the sandbox's
 * stays as large as the machine, which may not have given the memory back yet and would be killed for it.
 *
 * @param overheadMiB what the sandbox has besides the guest's memory
 * @throws UruncError `not-supported`: something cannot be changed; then nothing shall be
 */
export function planUpdate(
  record: Pick<VmRecord, "spec" | "memoryMiB" | "vcpus">,
  overheadMiB: number,
  asked: Resources,
): UpdatePlan {
  const before = record.spec.linux?.resources ?? {};
  refuseUnified(asked);
  refuseProcessors(record, before, asked);
  const memory = sandboxMemory(record, before, overheadMiB, asked.memory ?? {});
  const cpu = given(asked.cpu ?? {});
  const blockIO = given((asked["blockIO"] ?? {}) as Record<string, unknown>);
  const engine: Resources = {
    ...(Object.keys(memory).length > 0 ? { memory } : {}),
    ...(Object.keys(cpu).length > 0 ? { cpu } : {}),
    ...(Object.keys(blockIO).length > 0 ? { blockIO } : {}),
  };
  return {
    guest: [...guestMemory(record, before, asked.memory?.limit ?? 0), ...guestLimits(asked)],
    ...(Object.keys(engine).length > 0 ? { engine } : {}),
  };
}

function guestMemory(
  { memoryMiB }: Pick<VmRecord, "memoryMiB">,
  before: Resources,
  limit: number,
): UpdatePlan["guest"] {
  if (limit === 0) return [];
  const machine = memoryMiB * MIB;
  if (limit > Math.max(machine, before.memory?.limit ?? 0)) {
    throw new UruncError(
      "not-supported",
      `the virtual machine was started with ${memoryMiB} MiB of memory, and its limit cannot be raised to ` +
        `${Math.ceil(limit / MIB)} MiB while it runs: create the container with a higher one`,
    );
  }
  return [["memory.max", limit < 0 || limit >= machine ? "max" : String(limit)]];
}

function sandboxMemory(
  { memoryMiB }: Pick<VmRecord, "memoryMiB">,
  before: Resources,
  overheadMiB: number,
  { limit, swap, reservation }: NonNullable<Resources["memory"]>,
): NonNullable<Resources["memory"]> {
  const machine = memoryMiB * MIB;
  const guestLimit = [limit, before.memory?.limit].find((value) => (value ?? 0) > 0) ?? machine;
  // The sum of memory and swap: the swap is the container's, the memory the sandbox's.
  const swapOf = (sum: number) =>
    sum < 0 ? sum : Math.max(0, sum - guestLimit) + machine + overheadMiB * MIB;
  const reserved = (bytes: number) => (bytes < 0 ? bytes : bytes + overheadMiB * MIB);
  return {
    ...(swap ? { swap: swapOf(swap) } : {}),
    ...(reservation ? { reservation: reserved(reservation) } : {}),
  };
}

function refuseProcessors({ vcpus }: Pick<VmRecord, "vcpus">, before: Resources, asked: Resources): void {
  const processors = ({ quota, period }: NonNullable<Resources["cpu"]>, usual: number) =>
    (quota ?? 0) > 0 ? Math.ceil((quota ?? 0) / (period || usual)) : 0;
  const usual = before.cpu?.period || CPU_PERIOD;
  const most = Math.max(vcpus, processors(before.cpu ?? {}, CPU_PERIOD));
  if (processors(asked.cpu ?? {}, usual) <= most) return;
  throw new UruncError(
    "not-supported",
    `the virtual machine was started with ${vcpus} processor${vcpus === 1 ? "" : "s"}, and cannot have more while ` +
      "it runs: create the container with a higher quota",
  );
}

/** The guest's files and the sandbox's have the same names, and mean different things. */
function refuseUnified(asked: Resources): void {
  if (Object.keys((asked["unified"] ?? {}) as object).length === 0) return;
  throw new UruncError(
    "not-supported",
    "resources.unified cannot be changed of a virtual machine: use memory, cpu, pids and blockIO",
  );
}

/** Without what says nothing. */
function given<T extends object>(values: T): Partial<T> {
  const says = (value: unknown) => value !== undefined && value !== null && value !== 0 && value !== "";
  return Object.fromEntries(Object.entries(values).filter(([, value]) => says(value))) as Partial<T>;
}
