import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Docker } from "../harness/docker.ts";
import { imageReference, startLoadedDocker } from "../harness/loaded-docker.ts";
import { runsMachines } from "../harness/runtime.ts";
import { buildSyscalls } from "../harness/syscalls.ts";

setDefaultTimeout(180_000);

let docker: Docker;
let scratch: string;

beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), "urt-docker-seccomp-"));
  chmodSync(scratch, 0o755);
  await buildSyscalls(join(scratch, "syscalls"));
  docker = await startLoadedDocker("seccomp", ["busybox"]);
}, 300_000);

afterAll(async () => {
  await docker?.stop();
  rmSync(scratch, { recursive: true, force: true });
}, 120_000);

/** System calls of x86-64 that Docker's own profile has an opinion on; none of them changes anything if it is let through. */
const CALLS = {
  mount: "165",
  unshare: "272:0x10000000",
  unshareNothing: "272:0",
  setns: "308:0,0",
  cloneUser: "child=56:0x10000011",
  clone3: "435:0,0",
  keyctl: "250:0,0",
  addKey: "248:0,0,0,0,0",
  bpf: "321:0,0,0",
  personalityAsk: "135:0xffffffff",
  personalityLinux32: "135:8",
  personalityOther: "135:0x0040000",
  vsock: "41:40,1,0",
  ptrace: "101:0x7fff,0",
  perf: "298:0,0,0,0,0",
  userfaultfd: "323:0xffff",
  handle: "304:0,0,0",
  kexec: "246:0,0,0,0xffff",
  newest: "600",
  unknown: "1000",
  x32: "0x400003e8",
} as const;

function words(runtime: string, flags: readonly string[]): string[] {
  const mount = ["--volume", `${scratch}:/scratch:ro`, "--network", "none"];
  return ["run", "--rm", "--runtime", runtime, ...mount, ...flags, imageReference("busybox")];
}

/** What the same container sees under both; by line. */
async function same(flags: readonly string[], calls: readonly string[] = Object.values(CALLS)) {
  const command = ["/scratch/syscalls", "status", ...calls];
  const machine = await docker.run([...words("urunc", flags), ...command]);
  expect(machine).toEqual(await docker.run([...words("runc", flags), ...command]));
  return machine.stdout.split("\n");
}

test("Docker's own profile", async () => {
  const lines = await same([]);
  expect(lines).toContain("Seccomp:\t2");
  expect(lines).toContain(`${CALLS.mount}: 1`);
  expect(lines).toContain(`${CALLS.keyctl}: 1`);
  expect(lines).toContain(`${CALLS.clone3}: 38`);
  expect(lines).toContain(`${CALLS.personalityLinux32}: 0`);
  expect(lines).toContain(`${CALLS.personalityOther}: 1`);
  expect(lines).toContain(`${CALLS.unknown}: 38`);
});

test("Docker's own profile, which capabilities change", async () => {
  const { mount, unshareNothing, unshare, personalityOther, clone3, bpf, unknown } = CALLS;
  const calls = [mount, unshareNothing, personalityOther, clone3, unknown];
  const lines = await same(["--cap-add", "SYS_ADMIN"], calls);
  expect(lines).toContain(`${unshareNothing}: 0`);
  await same(["--cap-drop", "ALL", "--user", "1000:1000"], [...calls, unshare, bpf]);
  await same(["--security-opt", "no-new-privileges", "--user", "1000:1000"], [...calls, unshare, bpf]);
});

test("no profile: unconfined, privileged", async () => {
  const calls = [CALLS.unshareNothing, CALLS.personalityLinux32, CALLS.mount, CALLS.unknown];
  expect(await same(["--security-opt", "seccomp=unconfined"], calls)).toContain("Seccomp:\t0");
  // runc cannot give privileges that the host's root does not have.
  const command = ["/scratch/syscalls", "status", ...calls];
  if (!runsMachines) return;
  const privileged = await docker.run([...words("urunc", ["--privileged"]), ...command]);
  expect(privileged.stdout).toContain("Seccomp:\t0\n");
});

test("a profile from a file, for the container and for what is executed in it", async () => {
  const file = join(scratch, "profile.json");
  const condition = { index: 0, value: 0xffffffff, op: "SCMP_CMP_EQ" };
  const profile = {
    defaultAction: "SCMP_ACT_ALLOW",
    archMap: [{ architecture: "SCMP_ARCH_X86_64", subArchitectures: ["SCMP_ARCH_X86", "SCMP_ARCH_X32"] }],
    syscalls: [
      { names: ["chmod", "fchmodat", "no_such_call"], action: "SCMP_ACT_ERRNO", errnoRet: 95 },
      { names: ["personality"], action: "SCMP_ACT_ERRNO", args: [condition] },
      { names: ["sethostname"], action: "SCMP_ACT_KILL" },
      { names: ["keyctl"], action: "SCMP_ACT_ALLOW", includes: { caps: ["CAP_SYS_ADMIN"] } },
    ],
  };
  writeFileSync(file, JSON.stringify(profile));
  const flags = ["--security-opt", `seccomp=${file}`];
  const calls = ["135:0xffffffff", "135:0", "child=170", "90:0,0", "1000"];
  expect(await same(flags, calls)).toContain("170: signal 31");

  const seen = [];
  for (const runtime of ["urunc", "runc"]) {
    const name = `filtered-${runtime}`;
    await docker.succeed([...words(runtime, ["--detach", "--name", name, ...flags]), "sleep", "1000"]);
    const shell = "chmod 600 /tmp; echo $?; hostname other; echo $?; /scratch/syscalls status 135:0xffffffff";
    seen.push(await docker.run(["exec", name, "sh", "-c", shell]));
    await docker.succeed(["rm", "--force", name]);
  }
  expect(seen[0]).toEqual(seen[1] as NonNullable<(typeof seen)[0]>);
  expect(seen[0]?.stdout).toStartWith("1\n159\n");
  expect(seen[0]?.stdout).toContain("Seccomp_filters:\t1");
});
