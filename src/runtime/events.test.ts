import { expect, test } from "bun:test";
import { parseStatistics } from "../guest/statistics.ts";
import { parseDuration } from "./duration.ts";
import { eventsData } from "./events-data.ts";

const MIB = 1024 * 1024;

const ANSWER = `cpu.stat usage_usec 3000
cpu.stat user_usec 1000
cpu.stat system_usec 2000
cpu.stat nr_throttled 4
memory.current 5000
memory.peak 6000
memory.max max
memory.stat anon 700
memory.stat file 800
memory.stat kernel 900
memory.events max 3
memory.events oom_kill 1
pids.current 2
pids.max 20
io.stat 254:0 rbytes=10 wbytes=20 rios=1 wios=2
cpuset.cpus.effective 0-1,3
cpuset.mems.effective 0
net/dev Inter-|   Receive                                                |  Transmit
net/dev  face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
net/dev     lo:       9       9    9    9    0     0          0         0        9       9    9    9    0     0       0          0
net/dev   eth0:     100       2    3    4    0     0          0         0      500       6    7    8    0     0       0          0
`;

test("the guest's figures have the form of runc events", () => {
  const data = eventsData(parseStatistics(ANSWER), 128 * MIB) as Record<string, unknown>;
  const memory = { limit: 128 * MIB, usage: 5000, max: 6000, failcnt: 3 };
  expect(data).toEqual({
    cpu: {
      usage: { total: 3_000_000, kernel: 2_000_000, user: 1_000_000 },
      throttling: { throttledPeriods: 4 },
    },
    cpuset: expect.objectContaining({ cpus: [0, 1, 3], mems: [0], sched_relax_domain_level: -1 }),
    memory: {
      cache: 800,
      usage: memory,
      swap: memory,
      kernel: { limit: 128 * MIB, usage: 900, failcnt: 0 },
      kernelTCP: { limit: 128 * MIB, failcnt: 0 },
      raw: { anon: 700, file: 800, kernel: 900 },
    },
    pids: { current: 2, limit: 20 },
    blkio: {
      ioServiceBytesRecursive: [
        { major: 254, op: "Read", value: 10 },
        { major: 254, op: "Write", value: 20 },
      ],
      ioServicedRecursive: [
        { major: 254, op: "Read", value: 1 },
        { major: 254, op: "Write", value: 2 },
      ],
    },
    hugetlb: {},
    intel_rdt: {},
    network_interfaces: [
      {
        ...{ Name: "eth0", RxBytes: 100, RxPackets: 2, RxErrors: 3, RxDropped: 4 },
        ...{ TxBytes: 500, TxPackets: 6, TxErrors: 7, TxDropped: 8 },
      },
    ],
  });
});

test("the memory limit is the lower of the machine's and the group's", () => {
  const limit = (max: string) => {
    const data = eventsData(parseStatistics(`memory.max ${max}\n`), 128 * MIB);
    return (data as { memory: { usage: { limit: number } } }).memory.usage.limit;
  };
  expect([limit("max"), limit("1000"), limit("99999999999999")]).toEqual([128 * MIB, 1000, 128 * MIB]);
});

test("figures that a guest makes up are still whole numbers of JSON, and nothing else", () => {
  const hostile = `cpu.stat usage_usec ${"9".repeat(300)}\nmemory.stat __proto__ 1\nmemory.stat a"b 1\npids.current -5
cpuset.cpus.effective 0-99999,x\nnet/dev eth0\x1b: 1\nnonsense\n io.stat\nio.stat 1:2\n`;
  const text = JSON.stringify(eventsData(parseStatistics(hostile), MIB));
  expect(text).not.toMatch(/\de\+|null.*null|\\u/);
  expect(JSON.parse(text).cpu.usage.total).toBe(Number.MAX_SAFE_INTEGER);
  expect(JSON.parse(text).cpuset.cpus.length).toBe(4096);
  expect(JSON.parse(text).memory.raw).toEqual({});
});

test("an interval is Go's", () => {
  expect(["5s", "1m30s", "1.5h", "250ms", "5us"].map((text) => parseDuration(text, "interval"))).toEqual([
    5000, 90_000, 5_400_000, 250, 0.005,
  ]);
  for (const text of ["", "5", "s", "-5s", "5s ", "5d"])
    expect(() => parseDuration(text, "interval")).toThrow();
  for (const text of ["0", "0s"]) expect(() => parseDuration(text, "interval")).toThrow("greater than 0");
});
