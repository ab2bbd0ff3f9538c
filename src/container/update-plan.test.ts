import { expect, test } from "bun:test";
import type { Resources, Spec } from "../oci/runtime-spec.ts";
import { flagResources } from "../runtime/update-flags.ts";
import { exhaustingMemory, guestLimits } from "./resources.ts";
import { planUpdate } from "./update-plan.ts";

const MIB = 1024 * 1024;

function plan(asked: Resources, before: Resources = { memory: { limit: 128 * MIB + 5 } }) {
  const spec: Spec = {
    ociVersion: "1.0.2",
    process: { user: { uid: 0, gid: 0 }, args: ["a"], cwd: "/" },
    root: { path: "rootfs" },
    linux: { resources: before },
  };
  return planUpdate({ spec, memoryMiB: 128, vcpus: 2 }, 100, asked);
}

test("what Docker sends of limits that are not set changes nothing", () => {
  expect(
    plan({
      memory: { limit: 0, reservation: 0, kernel: 0 },
      cpu: { shares: 0, quota: 0, period: 0, cpus: "", mems: "" },
      pids: { limit: 0 },
      blockIO: { weight: 0 },
    }),
  ).toEqual({ guest: [] });
  expect(plan({})).toEqual({ guest: [] });
});

test("memory and processes are the guest's, processors and devices the sandbox's", () => {
  const cpu = { shares: 512, quota: 50_000, period: 100_000, cpus: "0-1" };
  const asked = { memory: { limit: 64 * MIB }, pids: { limit: 7 }, cpu, blockIO: { weight: 100 } };
  expect(plan(asked)).toEqual({
    guest: [
      ["memory.max", String(64 * MIB)],
      ["pids.max", "7"],
    ],
    engine: { cpu, blockIO: { weight: 100 } },
  });
});

test("memory goes up to what the machine was started with, and not beyond", () => {
  const limit = (bytes: number, before?: Resources) => plan({ memory: { limit: bytes } }, before).guest;
  // The limit had five bytes that the machine does not have.
  expect(limit(128 * MIB + 5)).toEqual([["memory.max", "max"]]);
  expect(limit(128 * MIB)).toEqual([["memory.max", "max"]]);
  expect(limit(-1)).toEqual([["memory.max", "max"]]);
  expect(() => limit(128 * MIB + 6)).toThrow("started with 128 MiB of memory");
  expect(() => limit(129 * MIB, {})).toThrow("cannot be raised to 129 MiB");
});

test("the sandbox's swap is the container's, and its reservation has the monitor's memory added", () => {
  const asked = { memory: { limit: 64 * MIB, swap: 96 * MIB, reservation: 32 * MIB } };
  expect(plan(asked).engine?.memory).toEqual({ swap: (128 + 100 + 32) * MIB, reservation: 132 * MIB });
  expect(plan({ memory: { swap: -1 } }).engine?.memory).toEqual({ swap: -1 });
  // The sandbox's own limit is never lowered: it would kill a machine that has not given its memory back yet.
  expect(plan(asked).engine?.memory?.limit).toBeUndefined();
});

test("a quota for more processors than there are is refused, unless the container had it", () => {
  const quota = (quota: number, period?: number) => ({ cpu: { quota, ...(period ? { period } : {}) } });
  expect(plan(quota(200_000)).engine).toEqual(quota(200_000));
  expect(plan(quota(-1)).engine).toEqual(quota(-1));
  expect(() => plan(quota(200_001))).toThrow("started with 2 processors");
  expect(() => plan(quota(100_000), quota(50_000, 25_000))).toThrow("started with 2 processors");
  expect(plan(quota(6_400_000), quota(6_400_000)).engine).toEqual(quota(6_400_000));
});

test("files of cgroup version 2 cannot be named", () => {
  expect(() => plan({ unified: { "memory.max": "5" } })).toThrow("resources.unified");
  expect(plan({ unified: {} })).toEqual({ guest: [] });
});

test("a limit of processes: 0 says nothing, less than 0 is none, and Linux has a highest", () => {
  const max = (limit: number) => guestLimits({ pids: { limit } });
  expect(guestLimits(undefined)).toEqual([]);
  expect([max(0), max(1)]).toEqual([[], [["pids.max", "1"]]]);
  expect([max(-1), max(2 ** 40)]).toEqual([[["pids.max", "max"]], [["pids.max", "max"]]]);
});

test("the stand-in may take a little more than the sandbox has, where that kills it", () => {
  expect(exhaustingMemory({ memory: { limit: 100 * MIB } })).toBe(116 * MIB);
  expect(exhaustingMemory({ memory: { limit: 100 * MIB, swap: 200 * MIB } })).toBe(216 * MIB);
  expect(exhaustingMemory({ memory: { limit: 100 * MIB, swap: -1 } })).toBe(116 * MIB);
  expect(exhaustingMemory({ memory: { limit: 100 * MIB, disableOOMKiller: true } })).toBeUndefined();
  expect(exhaustingMemory({})).toBeUndefined();
});

test("flags are resources; sizes have units, and what is no number is refused", () => {
  const strings = {
    ...{ memory: "64m", "memory-swap": "-1", "memory-reservation": "1.5GiB", "cpu-quota": "-1" },
    ...{ "cpu-share": "2", "cpuset-cpus": "0-1", "pids-limit": "9", "blkio-weight": "" },
  };
  expect(flagResources({ strings })).toEqual({
    memory: { limit: 64 * MIB, swap: -1, reservation: 1536 * MIB },
    cpu: { quota: -1, shares: 2, cpus: "0-1" },
    pids: { limit: 9 },
    blockIO: {},
  });
  for (const [flag, value] of [
    ["memory", "64x"],
    ["memory", "-2"],
    ["cpu-quota", "abc"],
    ["cpu-period", "-1"],
    ["pids-limit", "1.5"],
  ] as const) {
    expect(() => flagResources({ strings: { [flag]: value } })).toThrow(
      `invalid value for ${flag}: "${value}"`,
    );
  }
});
