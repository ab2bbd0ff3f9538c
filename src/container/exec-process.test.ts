import { expect, test } from "bun:test";
import type { Process } from "../oci/runtime-spec.ts";
import { type ExecChanges, execProcess } from "./exec-process.ts";

const own: Process = {
  terminal: true,
  consoleSize: { height: 24, width: 80 },
  user: { uid: 1000, gid: 100, additionalGids: [5] },
  args: ["server"],
  env: ["A=1"],
  cwd: "/srv",
  capabilities: { bounding: ["CAP_CHOWN"], permitted: ["CAP_CHOWN"], inheritable: ["CAP_CHOWN"] },
  noNewPrivileges: true,
  rlimits: [{ type: "RLIMIT_NOFILE", soft: 1, hard: 2 }],
};

const nothing: ExecChanges = { args: ["ps"], env: [], terminal: false, additionalGids: [], capabilities: [] };

test("without flags it is the container's own process with other arguments, and no terminal", () => {
  const { terminal: _, consoleSize: __, ...kept } = own;
  expect(execProcess(own, nothing)).toEqual({ ...kept, args: ["ps"] });
});

test("each flag changes what it names", () => {
  const changed = execProcess(own, {
    ...nothing,
    env: ["A=2", "B="],
    terminal: true,
    additionalGids: ["7", "8"],
    capabilities: ["CAP_KILL"],
    cwd: "/tmp",
    user: "2000",
    noNewPrivileges: false,
  });
  expect(changed.env).toEqual(["A=1", "A=2", "B="]);
  expect(changed.terminal).toBe(true);
  expect(changed.user).toEqual({ uid: 2000, gid: 100, additionalGids: [5, 7, 8] });
  expect(changed.cwd).toBe("/tmp");
  expect(changed.noNewPrivileges).toBe(false);
  expect(changed.capabilities).toEqual({
    bounding: ["CAP_CHOWN", "CAP_KILL"],
    effective: ["CAP_KILL"],
    permitted: ["CAP_CHOWN", "CAP_KILL"],
    ambient: ["CAP_KILL"],
    inheritable: ["CAP_CHOWN"],
  });
  expect(own.capabilities?.bounding).toEqual(["CAP_CHOWN"]);
});

test("a user is a number, or two", () => {
  expect(execProcess(own, { ...nothing, user: "1:2" }).user).toMatchObject({ uid: 1, gid: 2 });
  for (const user of ["", "root", "1:", "1:2:3", "-1", "4294967296", "1e3"]) {
    expect(() => execProcess(own, { ...nothing, user })).toThrow("--user");
  }
  expect(() => execProcess(own, { ...nothing, additionalGids: ["wheel"] })).toThrow("--additional-gids");
});

test("there must be something to execute", () => {
  expect(() => execProcess(own, { ...nothing, args: [] })).toThrow("process args cannot be empty");
});
