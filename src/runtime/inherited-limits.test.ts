import { expect, test } from "bun:test";
import { inheritedLimits, parseLimits, withLimits } from "./inherited-limits.ts";

const HEADER = "Limit                     Soft Limit           Hard Limit           Units     \n";

test("limits are read as the kernel writes them", () => {
  const text =
    `${HEADER}Max cpu time              unlimited            unlimited            seconds   \n` +
    "Max stack size            8388608              unlimited            bytes     \n" +
    "Max nice priority         0                    0                    \n" +
    "Max of tomorrow           1                    2                    things    \n";
  expect(parseLimits(text)).toEqual([
    { type: "RLIMIT_CPU", soft: -1, hard: -1 },
    { type: "RLIMIT_STACK", soft: 8388608, hard: -1 },
    { type: "RLIMIT_NICE", soft: 0, hard: 0 },
  ]);
});

test("open files are limited to what the guest's kernel can have", () => {
  const line = (soft: string, hard: string) => `Max open files            ${soft}  ${hard}  files     \n`;
  const limit = (soft: number, hard: number) => [{ type: "RLIMIT_NOFILE", soft, hard }];
  expect(parseLimits(line("1024", "1073741816"))).toEqual(limit(1024, 1048576));
  expect(parseLimits(line("unlimited", "unlimited"))).toEqual(limit(1048576, 1048576));
});

test("this process has all sixteen", () => {
  expect(inheritedLimits().length).toBe(16);
});

test("a process keeps the limits it has", () => {
  const own = { type: "RLIMIT_CORE", soft: 1, hard: 2 };
  const process = { args: ["true"], cwd: "/", user: { uid: 0, gid: 0 }, rlimits: [own] };
  const inherited = [
    { type: "RLIMIT_CORE", soft: 3, hard: 4 },
    { type: "RLIMIT_CPU", soft: 5, hard: 6 },
  ];
  expect(withLimits(process, inherited).rlimits).toEqual([own, { type: "RLIMIT_CPU", soft: 5, hard: 6 }]);
});
