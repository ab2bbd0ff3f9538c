import { expect, test } from "bun:test";
import { judgeCgroups, readCgroups } from "./cgroups.ts";

const V1 = ["cpu", "cpuset", "memory", "pids", "devices", "freezer"]
  .map((name) => `cgroup /sys/fs/cgroup/${name} cgroup rw,relatime,${name} 0 0`)
  .join("\n");
const V2 = "cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid,nsdelegate 0 0";

test("the kind of a host's hierarchies", () => {
  expect(readCgroups(V1, "")).toEqual({
    kind: "v1",
    controllers: ["cpu", "cpuset", "memory", "pids", "devices", "freezer"],
  });
  expect(readCgroups(`${V1}\ncgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0`, "").kind).toBe("hybrid");
  expect(readCgroups(V2, "cpuset cpu io memory pids\n")).toEqual({
    kind: "v2",
    controllers: ["cpuset", "cpu", "io", "memory", "pids"],
  });
  // systemd's own hierarchy has no controller.
  expect(readCgroups(`cgroup /s cgroup rw,name=systemd 0 0\n${V2}`, "memory").kind).toBe("v2");
  expect(readCgroups("proc /proc proc rw 0 0\n", "")).toEqual({ kind: "none", controllers: [] });
});

test("controllers that are missing are named, and none at all is the end for root", () => {
  expect(judgeCgroups(readCgroups(V1, ""), "root").state).toBe("ok");
  expect(judgeCgroups(readCgroups(V2, "cpuset cpu memory pids"), "root").state).toBe("ok");
  expect(judgeCgroups(readCgroups(V2, "cpu pids cpuset"), "root")).toMatchObject({
    state: "less",
    found: "v2, without memory: such limits do not hold",
  });
  expect(judgeCgroups({ kind: "none", controllers: [] }, "root").state).toBe("not");
  expect(judgeCgroups({ kind: "none", controllers: [] }, "user").state).toBe("ok");
});
