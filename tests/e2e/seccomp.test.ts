import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { copyFileSync, mkdtempSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Seccomp, SeccompRule } from "../../src/oci/seccomp.ts";
import type { BundleConfig } from "../harness/bundle.ts";
import { command } from "../harness/command.ts";
import { type Containers, openContainers, type PlannedContainer } from "../harness/containers.ts";
import { runsMachines, runtimePath } from "../harness/runtime.ts";
import { buildSyscalls } from "../harness/syscalls.ts";

setDefaultTimeout(180_000);

const RUNC = "/usr/sbin/runc";
const ARCHITECTURES = ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"];

/** System calls of x86-64: one that waits, and those that ask something and change nothing. */
const PAUSE = 34;
const GETPID = 39;
const GETUID = 102;
const GETGID = 104;
const GETEUID = 107;
const GETEGID = 108;
const GETPPID = 110;
const GETPGRP = 111;
const X32 = 0x40000000;

/** What runc itself and a static program need. */
const NEEDED = (
  "access arch_prctl brk capget capset chdir clone clone3 close close_range dup3 epoll_create1 epoll_ctl epoll_pwait " +
  "epoll_wait execve exit exit_group faccessat faccessat2 fchown fcntl fork fstat fstatfs futex getcwd getdents64 " +
  "getpid getrandom gettid ioctl kill lseek madvise mmap mprotect munmap nanosleep newfstatat open openat openat2 pipe2 " +
  "prctl prlimit64 read readlinkat readv rt_sigaction rt_sigprocmask rt_sigreturn sched_getaffinity sched_yield " +
  "set_robust_list set_tid_address setgid setgroups setuid sigaltstack statx tgkill uname wait4 write writev"
).split(" ");

let runc: Containers;
let urunc: Containers;
let scratch: string;
let program: string;

beforeAll(async () => {
  runc = await openContainers("busybox", RUNC);
  urunc = await openContainers("busybox");
  scratch = mkdtempSync(join(tmpdir(), "urt-syscalls-"));
  program = join(scratch, "syscalls");
  await buildSyscalls(program);
}, 300_000);

afterAll(async () => {
  rmSync(scratch, { recursive: true, force: true });
  await runc?.close();
  await urunc?.close();
}, 120_000);

const allow = (...names: string[]): SeccompRule => ({ names, action: "SCMP_ACT_ALLOW" });
const errno = (errnoRet: number, ...names: string[]): SeccompRule => ({
  names,
  action: "SCMP_ACT_ERRNO",
  errnoRet,
});

/** Everything but what the rules say. */
function permissive(...syscalls: SeccompRule[]): Seccomp {
  return { defaultAction: "SCMP_ACT_ALLOW", architectures: ARCHITECTURES, syscalls };
}

/** Nothing but what the rules say, and what is needed. */
function strict(...syscalls: SeccompRule[]): Seccomp {
  return {
    defaultAction: "SCMP_ACT_ERRNO",
    architectures: ARCHITECTURES,
    syscalls: [allow(...NEEDED), ...syscalls],
  };
}

type Change = (config: BundleConfig) => void;

async function plan(
  containers: Containers,
  seccomp: Seccomp | undefined,
  words: readonly (string | number)[],
  change?: Change,
): Promise<PlannedContainer> {
  const container = await containers.plan(["/syscalls", ...words.map(String)], (config) => {
    if (seccomp) config.linux.seccomp = seccomp;
    change?.(config);
  });
  copyFileSync(program, join(container.bundle.rootfs, "syscalls"));
  return container;
}

async function run(...[containers, ...rest]: Parameters<typeof plan>) {
  const { id, bundle } = await plan(containers, ...rest);
  const { exitCode, stdout, stderr } = await containers.runtime.call([
    "run",
    "--bundle",
    bundle.directory,
    id,
  ]);
  return { exitCode, stdout, stderr };
}

/** What both see, which must be the same; the lines of standard output. */
async function same(...rest: Parameters<typeof plan> extends [unknown, ...infer Rest] ? Rest : never) {
  const seen = await run(urunc, ...rest);
  expect(seen).toEqual(await run(runc, ...rest));
  return { ...seen, lines: seen.stdout.trimEnd().split("\n") };
}

describe("a filter in the guest is the one that runc sets", () => {
  test("what is not allowed has the default action, what is newer than the profile ENOSYS", async () => {
    const words = ["status", GETPID, GETPPID, 450, 500, 1000, X32 + GETPID, X32 + GETPPID, X32 + 1000, -1];
    const { lines } = await same(strict(), words);
    expect(lines).toContain("Seccomp:\t2");
    expect(lines).toContain("Seccomp_filters:\t1");
    expect(lines).toContain(`${GETPID}: 0`);
    expect(lines).toContain(`${GETPPID}: 1`);
    expect(lines).toContain("1000: 38");
  });

  test("without a profile there is none", async () => {
    const { lines } = await same(undefined, ["status", GETPPID, 1000]);
    expect(lines).toContain("Seccomp_filters:\t0");
  });

  test("an empty one is none; a default action alone is one", async () => {
    expect((await same({}, ["status"])).stdout).toContain("Seccomp:\t0");
    const all = await same({ defaultAction: "SCMP_ACT_ALLOW" }, ["status", GETPPID, 1000, X32 + GETPID]);
    expect(all.stdout).toContain("Seccomp:\t2");
  });

  test("without architectures there is the processor's own, and ENOSYS for nothing", async () => {
    const { architectures: _, ...profile } = strict();
    expect((await same(profile, [GETPID, GETPPID, 1000])).lines).toEqual(["39: 0", "110: 1", "1000: 1"]);
    // Its numbers of the other architecture end the process.
    expect((await same(profile, ["status", X32 + GETPID])).exitCode).toBe(128 + 31);
  });

  test("one architecture alone", async () => {
    for (const architecture of ARCHITECTURES) {
      await same({ ...strict(), architectures: [architecture] }, [GETPID, GETPPID, 1000]);
    }
    await same({ ...strict(), architectures: ["SCMP_ARCH_ARM", "SCMP_ARCH_X86_64"] }, [GETPPID, 1000]);
  });

  test("errors have the number of the profile, of the rule, or EPERM", async () => {
    const profile = { ...strict(errno(77, "getppid"), errno(0, "getpgrp")), defaultErrnoRet: 99 };
    profile.syscalls?.push({ names: ["getuid"], action: "SCMP_ACT_ERRNO" });
    const { lines } = await same(profile, [GETPPID, GETPGRP, GETUID, GETGID, 1000]);
    expect(lines).toEqual(["110: 77", "111: 0", "102: 1", "104: 99", "1000: 38"]);
  });

  test("every comparison, up to 64 bits", async () => {
    const large = 2n ** 64n - 1n;
    const rule = (name: string, op: string, value: number | bigint, valueTwo?: bigint): SeccompRule => ({
      ...errno(5, name),
      args: [{ index: 2, op: `SCMP_CMP_${op}`, value, ...(valueTwo === undefined ? {} : { valueTwo }) }],
    });
    const profile = permissive(
      rule("getpid", "EQ", large),
      rule("getuid", "NE", 2n ** 53n + 1n),
      rule("getgid", "LT", 2 ** 40),
      rule("geteuid", "LE", 2 ** 40),
      rule("getegid", "GE", 2n ** 63n + 1n),
      rule("getppid", "GT", 2n ** 63n + 1n),
      rule("getpgrp", "MASKED_EQ", 0xff00ff00n, 0x12003400n),
    );
    const values = [0, large, 2n ** 53n, 2n ** 53n + 1n, 2n ** 53n + 2n, 2n ** 40n - 1n, 2n ** 40n];
    values.push(2n ** 40n + 1n, 2n ** 63n, 2n ** 63n + 1n, 2n ** 63n + 2n, 0x12563478n, 0x12003500n);
    const numbers = [GETPID, GETUID, GETGID, GETEUID, GETEGID, GETPPID, GETPGRP];
    const words = numbers.flatMap((number) => values.map((value) => `${number}:0,0,${value}`));
    const { lines } = await same(profile, words);
    expect(lines).toContain(`${GETPID}:0,0,${large}: 5`);
    expect(lines).toContain(`${GETUID}:0,0,${2n ** 53n}: 5`);
    expect(lines).toContain(`${GETUID}:0,0,${2n ** 53n + 1n}: 0`);
    expect(lines.filter((line) => line.endsWith(": 5")).length).toBeGreaterThan(20);
  });

  test("conditions on several arguments hold together, several on one each by itself", async () => {
    const condition = (index: number, value: number) => ({ index, value, op: "SCMP_CMP_EQ" });
    const profile = permissive(
      { ...errno(5, "getpid", "getuid"), args: [condition(0, 1), condition(5, 2)] },
      { ...errno(6, "getppid"), args: [condition(0, 1), condition(0, 2), condition(1, 3)] },
    );
    const calls = ["39:1", "39:0,0,0,0,0,2", "39:1,0,0,0,0,2", "102:1,0,0,0,0,2"];
    const { lines } = await same(profile, [...calls, "110:1", "110:2", "110:0,3", "110:0,4", "110:3"]);
    expect(lines.map((line) => line.split(": ")[1])).toEqual("0 0 5 5 6 6 6 0 0".split(" "));
  });

  test("killing gives SIGSYS, of the first process 159", async () => {
    const kill = (action: string, name: string): SeccompRule => ({ names: [name], action });
    const profile = permissive(
      kill("SCMP_ACT_KILL", "getppid"),
      kill("SCMP_ACT_KILL_THREAD", "getpgrp"),
      kill("SCMP_ACT_KILL_PROCESS", "getuid"),
    );
    const { lines } = await same(
      profile,
      [GETPPID, GETPGRP, GETUID].map((number) => `child=${number}`),
    );
    expect(lines).toEqual(["110: signal 31", "111: signal 31", "102: signal 31"]);
    for (const number of [GETPPID, GETUID]) {
      expect((await same(profile, [GETPID, number, GETPID])).exitCode).toBe(128 + 31);
    }
  });

  test("traps, traces without a tracer, and what is only logged", async () => {
    const action = (name: string, how: string, errnoRet?: number): SeccompRule => ({
      names: [name],
      action: `SCMP_ACT_${how}`,
      ...(errnoRet === undefined ? {} : { errnoRet }),
    });
    const profile = permissive(
      action("getppid", "TRAP"),
      action("getuid", "TRACE"),
      action("getgid", "TRACE", 7),
      action("getpgrp", "LOG"),
    );
    const { lines } = await same(profile, [`child=${GETPPID}`, `trap=${GETPPID}`, GETUID, GETGID, GETPGRP]);
    expect(lines).toEqual(["110: signal 31", "110: trapped 110", "102: 38", "104: 38", "111: 0"]);
    for (const how of ["LOG", "TRACE"]) {
      const lenient = { ...strict(), defaultAction: `SCMP_ACT_${how}` };
      await same(lenient, [GETPID, GETPPID, 1000]);
    }
  });

  test("names that nobody knows, rules that say nothing, and names of other architectures", async () => {
    const profile = strict(
      allow("no_such_call", "getppid", "arm_sync_file_range", "socketcall", "getppid"),
      { names: ["getpgrp"], action: "SCMP_ACT_ERRNO", errnoRet: 1 },
      { names: [], action: "SCMP_ACT_KILL" },
    );
    expect((await same(profile, [GETPPID, GETPGRP])).lines).toEqual(["110: 0", "111: 1"]);
  });

  test("two answers to one call", async () => {
    const condition = { index: 0, value: 1, op: "SCMP_CMP_EQ" };
    const first = permissive(errno(5, "getppid"), errno(6, "getppid"));
    await same(first, [GETPPID]);
    const mixed = permissive({ ...errno(5, "getppid"), args: [condition] }, errno(6, "getppid"));
    await same(mixed, ["110:1", "110:2"]);
  });

  test.each([true, false])("for a user without capabilities, no_new_privs %p", async (noNewPrivileges) => {
    // runc asks for its parent once the filter is in force.
    const { lines } = await same(strict(allow("getppid")), ["status", GETPGRP, 1000], ({ process }) => {
      process.user = { uid: 1000, gid: 1000, additionalGids: [5, 6] };
      process.capabilities = {};
      process.noNewPrivileges = noNewPrivileges;
    });
    expect(lines).toContain(`NoNewPrivs:\t${noNewPrivileges ? 1 : 0}`);
    expect(lines).toContain("Seccomp:\t2");
    expect(lines).toContain("111: 1");
  });

  test("a program that the filter does not let begin", async () => {
    const kill = permissive({ names: ["execve"], action: "SCMP_ACT_KILL_PROCESS" });
    expect((await same(kill, [GETPID])).exitCode).toBe(128 + 31);
    const { exitCode, stderr } = await same(permissive(errno(1, "execve")), [GETPID]);
    expect(exitCode).toBe(1);
    expect(stderr).toContain("operation not permitted");
  });

  test("holds for further processes, whatever they are", async () => {
    const profile = strict(allow("pause", "getppid"));
    const seen = [];
    for (const containers of [urunc, runc]) {
      const container = await plan(containers, profile, [PAUSE], ({ process }) => {
        process.noNewPrivileges = false;
      });
      await containers.create(container);
      await containers.runtime.succeed(["start", container.id]);
      const calls = ["/syscalls", "status", `${GETPID}`, `${GETPGRP}`, "1000", `child=${GETUID}`];
      for (const flags of [[], ["--user", "1000:1000"], ["--no-new-privs"], ["--cap", "CAP_SYS_ADMIN"]]) {
        const result = await containers.runtime.call(["exec", ...flags, container.id, ...calls]);
        seen.push({ exitCode: result.exitCode, stdout: result.stdout, stderr: result.stderr });
      }
      await containers.runtime.succeed(["delete", "--force", container.id]);
    }
    expect(seen.slice(0, 4)).toEqual(seen.slice(4));
    for (const { stdout } of seen) expect(stdout).toContain("111: 1\n1000: 38\n");
  });
});

describe("create refuses", () => {
  const rule = (change: Partial<SeccompRule>) => permissive({ ...errno(1, "getpid"), ...change });
  const argument = (change: object) => rule({ args: [{ index: 0, value: 1, op: "SCMP_CMP_EQ", ...change }] });

  test.each<[what: string, profile: object, words: string]>([
    ["an unknown action", rule({ action: "SCMP_ACT_ASK" }), "SCMP_ACT_ASK"],
    ["no action", rule({ action: "" }), "syscalls[0].action"],
    ["an unknown default action", { ...rule({}), defaultAction: "allow" }, '"allow"'],
    ["no default action", { syscalls: [allow("getpid")] }, "action"],
    ["an unknown architecture", { ...rule({}), architectures: ["SCMP_ARCH_VAX"] }, "SCMP_ARCH_VAX"],
    ["bytes in another order", { ...rule({}), architectures: ["SCMP_ARCH_S390X"] }, "s390x"],
    ["an unknown operator", argument({ op: "SCMP_CMP_LIKE" }), "SCMP_CMP_LIKE"],
    ["a seventh argument", argument({ index: 6 }), "args[0].index"],
    ["a negative value", argument({ value: -1 }), "args[0].value"],
    ["a value of 65 bits", argument({ value: 2n ** 64n }), "args[0].value"],
    ["a value that is none", argument({ value: "1" }), "args[0].value"],
    ["an error number that Linux does not have", rule({ errnoRet: 5000 }), "getpid"],
    ["an unknown flag", { ...rule({}), flags: ["SECCOMP_FILTER_FLAG_FAST"] }, "SECCOMP_FILTER_FLAG_FAST"],
    ["a nameless call", rule({ names: [""] }), "names"],
    ["what is no list", { ...rule({}), syscalls: {} }, "linux.seccomp.syscalls"],
  ])("%s, as runc does", async (_, profile, words) => {
    for (const containers of [urunc, runc]) {
      const { id, bundle } = await plan(containers, profile as Seccomp, []);
      const { exitCode, stderr } = await containers.runtime.call([
        "create",
        "--bundle",
        bundle.directory,
        id,
      ]);
      expect(exitCode).toBe(1);
      if (containers === urunc && runsMachines) expect(stderr).toContain(words);
      await containers.expectGone(id);
    }
  });

  test.if(runsMachines)("notifications, which end on the host", async () => {
    const profile = permissive({ names: ["getppid"], action: "SCMP_ACT_NOTIFY" });
    const { exitCode, stderr } = await run(urunc, { ...profile, listenerPath: "/run/listener" }, []);
    expect(exitCode).toBe(1);
    expect(stderr).toContain("SCMP_ACT_NOTIFY");
  });

  test.if(runsMachines)("more than fits into a filter", async () => {
    const names = Array.from({ length: 5000 }, (_, index) => `call${index}`);
    expect((await run(urunc, strict(allow(...names)), [])).stderr).toContain("at most 4096");
  });

  test.if(runsMachines)("a profile where libseccomp is missing, and nothing else", async () => {
    const library = realpathSync("/usr/lib/x86_64-linux-gnu/libseccomp.so.2");
    const without = 'mount --bind /dev/null "$1" && shift && exec "$@"';
    for (const [profile, exitCode] of [
      [permissive(), 1],
      [undefined, 1],
    ] as const) {
      const { id, bundle } = await plan(urunc, profile, [GETPID]);
      const create = [runtimePath, "--root", urunc.runtime.root, "create", "--bundle", bundle.directory, id];
      const words = ["unshare", "--mount", "sh", "-c", without, "sh", library, ...create];
      const result = await command(words);
      expect(result.exitCode).toBe(exitCode);
      expect(result.stderr.includes("libseccomp2")).toBe(profile !== undefined);
      await urunc.expectGone(id);
    }
  });
});

test.if(runsMachines)("flags, which newer releases of runc know", async () => {
  for (const name of ["LOG", "SPEC_ALLOW", "TSYNC"]) {
    const profile = { ...strict(), flags: [`SECCOMP_FILTER_FLAG_${name}`] };
    const { stdout, exitCode } = await run(urunc, profile, ["status", GETPPID]);
    expect(exitCode).toBe(0);
    expect(stdout).toContain("Seccomp:\t2");
    expect(stdout).toContain("110: 1\n");
  }
});
