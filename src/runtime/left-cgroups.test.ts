import { expect, test } from "bun:test";
import { hierarchies } from "./left-cgroups.ts";

test("hierarchies of both versions are found, and nothing else", () => {
  const mountInfo = `24 1 0:21 / /proc rw shared:5 - proc proc rw
30 25 0:26 / /sys/fs/cgroup/unified rw,nosuid shared:9 - cgroup2 cgroup2 rw
33 25 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:12 - cgroup cgroup rw,cpu,cpuacct
40 1 0:40 / /cgroup rw - tmpfs cgroup rw
`;
  expect(hierarchies(mountInfo)).toEqual(["/sys/fs/cgroup/unified", "/sys/fs/cgroup/cpu,cpuacct"]);
});
