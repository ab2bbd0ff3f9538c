import type { GuestStatistics } from "../guest/statistics.ts";

/**
 * The guest's figures in the form of `runc events` (runc's `types/events.go`): what is 0 is left out where runc leaves
 * it out.
 *
 * @param machineMemory bytes: what a container without a limit has
 */
export function eventsData(guest: GuestStatistics, machineMemory: number): object {
  const limit = Math.min(guest.memoryMax ?? machineMemory, machineMemory);
  const failcnt = guest.memoryEvents["max"] ?? 0;
  const usage = { limit, ...sparse({ usage: guest.memoryCurrent, max: guest.memoryPeak }), failcnt };
  return {
    cpu: {
      usage: {
        ...sparse({ total: nanoseconds(guest, "usage_usec") }),
        kernel: nanoseconds(guest, "system_usec"),
        user: nanoseconds(guest, "user_usec"),
      },
      throttling: sparse({
        periods: guest.cpu["nr_periods"] ?? 0,
        throttledPeriods: guest.cpu["nr_throttled"] ?? 0,
        throttledTime: nanoseconds(guest, "throttled_usec"),
      }),
    },
    cpuset: {
      ...(guest.cpus.length > 0 ? { cpus: guest.cpus } : {}),
      cpu_exclusive: 0,
      ...(guest.mems.length > 0 ? { mems: guest.mems } : {}),
      mem_hardwall: 0,
      mem_exclusive: 0,
      memory_migrate: 0,
      memory_spread_page: 0,
      memory_spread_slab: 0,
      memory_pressure: 0,
      sched_load_balance: 1,
      sched_relax_domain_level: -1,
    },
    memory: {
      ...sparse({ cache: guest.memory["file"] ?? 0 }),
      usage,
      // The guest has no swap: with it there is as much as without.
      swap: usage,
      kernel: { limit, ...sparse({ usage: guest.memory["kernel"] ?? 0 }), failcnt: 0 },
      kernelTCP: { limit, ...sparse({ usage: guest.memory["sock"] ?? 0 }), failcnt: 0 },
      raw: guest.memory,
    },
    pids: sparse({ current: guest.pids, limit: guest.pidsMax ?? 0 }),
    blkio: blockDevices(guest),
    hugetlb: {},
    intel_rdt: {},
    network_interfaces: guest.interfaces.length > 0 ? guest.interfaces.map(networkInterface) : null,
  };
}

function nanoseconds(guest: GuestStatistics, key: string): number {
  return Math.min((guest.cpu[key] ?? 0) * 1000, Number.MAX_SAFE_INTEGER);
}

/** Go's `omitempty`. */
function sparse(values: Record<string, number>): Record<string, number> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== 0));
}

function blockDevices({ io }: GuestStatistics): object {
  const entries = (read: string, write: string) =>
    io.flatMap(({ major, minor, fields }) =>
      [
        { op: "Read", value: fields[read] ?? 0 },
        { op: "Write", value: fields[write] ?? 0 },
      ].map(({ op, value }) => ({ ...sparse({ major, minor }), op, ...sparse({ value }) })),
    );
  return io.length === 0
    ? {}
    : {
        ioServiceBytesRecursive: entries("rbytes", "wbytes"),
        ioServicedRecursive: entries("rios", "wios"),
      };
}

function networkInterface({ name, received, sent }: GuestStatistics["interfaces"][number]): object {
  return {
    Name: name,
    RxBytes: received.bytes,
    RxPackets: received.packets,
    RxErrors: received.errors,
    RxDropped: received.dropped,
    TxBytes: sent.bytes,
    TxPackets: sent.packets,
    TxErrors: sent.errors,
    TxDropped: sent.dropped,
  };
}
