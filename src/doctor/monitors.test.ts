import { expect, test } from "bun:test";
import { judgeQemu } from "./monitors.ts";

const QEMU = {
  program: "/usr/bin/qemu-system-x86_64",
  version: "7.2.22",
  machines:
    "Supported machines are:\nmicrovm   microvm (i386)\nq35       Standard PC (alias of pc-q35-7.2)\n",
  networks: "Available netdev backend types:\nsocket\nuser\ntap\n",
};
const states = (facts: Parameters<typeof judgeQemu>[0], caller: "root" | "user" = "root") =>
  Object.fromEntries(judgeQemu(facts, caller).map(({ what, state }) => [what, state]));

test("a QEMU with all that machines need", () => {
  expect(states(QEMU)).toEqual({
    QEMU: "ok",
    "QEMU's microvm": "ok",
    "QEMU's q35": "ok",
    "QEMU's slirp": "ok",
  });
  expect(judgeQemu(QEMU, "root")[0]?.found).toBe("/usr/bin/qemu-system-x86_64, version 7.2.22");
});

test("without microvm nothing runs; without the others less does", () => {
  expect(states({ ...QEMU, machines: "microvm-next  x\npc  y\n" })).toMatchObject({
    "QEMU's microvm": "not",
    "QEMU's q35": "less",
  });
  expect(states({ ...QEMU, networks: "tap\nvhost-user\n" })["QEMU's slirp"]).toBe("less");
  expect(states({ ...QEMU, networks: "tap\nvhost-user\n" }, "user")["QEMU's slirp"]).toBe("not");
});

test("one that does not run, or is where the sandbox has no place for it, is none", () => {
  expect(states({ ...QEMU, version: undefined })).toEqual({ QEMU: "not" });
  expect(judgeQemu({ ...QEMU, program: "/opt/qemu" }, "root")[0]).toMatchObject({
    state: "not",
    found: expect.stringContaining("not below /usr"),
  });
});
