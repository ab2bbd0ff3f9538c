import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { until } from "../harness/command.ts";
import { listenForConsole } from "../harness/console-socket.ts";
import { type Containers, openContainers } from "../harness/containers.ts";
import { processesInCgroup, processName } from "../harness/leaks.ts";
import { runtimePath } from "../harness/runtime.ts";

setDefaultTimeout(120_000);

/** What a caller of `exec` sees. */
interface Seen {
  stdout: string;
  stderr: string;
  exitCode: number;
}

interface Row {
  name: string;
  flags?: string[];
  command: string[];
  /** What it must be, beside the same with both; a part of standard error. */
  status: number;
  says?: string;
}

const ENGINE = "/usr/sbin/runc";
const PROCESS = {
  args: ["sh", "-c", "id -u; id -g; id -G; pwd; echo $A; ulimit -n; grep -E 'Cap|NoNew' /proc/self/status"],
  env: ["PATH=/usr/bin:/bin", "A=of the file"],
  cwd: "/usr/share",
  user: { uid: 1000, gid: 1000, additionalGids: [4, 33] },
  capabilities: { bounding: ["CAP_CHOWN"], permitted: [], effective: [] },
  rlimits: [{ type: "RLIMIT_NOFILE", soft: 77, hard: 88 }],
  noNewPrivileges: true,
};

/** A shell's script that shows what flags change. */
const show = (script: string) => ["sh", "-c", script];
const CAPABILITIES = show("grep Cap /proc/self/status");

const ROWS: Row[] = [
  { name: "streams apart and the status", command: show("echo out; echo err >&2; exit 5"), status: 5 },
  { name: "no output at all", command: ["true"], status: 0 },
  { name: "status 255", command: show("exit 255"), status: 255 },
  { name: "ended by SIGKILL", command: show("kill -9 $$"), status: 137 },
  { name: "ended by SIGTERM", command: show("kill $$"), status: 143 },
  { name: "the container's own environment", command: show("echo $PATH $TERM $HOME"), status: 0 },
  { name: "--process", flags: ["--process", "PROCESS"], command: [], status: 0 },
  { name: "--cwd", flags: ["--cwd", "/usr/bin"], command: ["pwd"], status: 0 },
  { name: "--cwd that is not there", flags: ["--cwd", "/tmp/deep/down"], command: ["pwd"], status: 255 },
  {
    name: "--env",
    flags: ["--env", "A=1 2", "--env", "B=", "--env", "TERM=x"],
    command: show("echo $A,$B,$TERM"),
    status: 0,
  },
  { name: "--user", flags: ["--user", "1000"], command: show("id -u; id -g; echo $HOME"), status: 0 },
  {
    name: "--user with a group",
    flags: ["--user", "1000:33"],
    command: show("id -u; id -g; id -G"),
    status: 0,
  },
  {
    name: "--user that passwd does not know",
    flags: ["--user", "4321"],
    command: show("id -u; echo $HOME"),
    status: 0,
  },
  {
    name: "--additional-gids",
    flags: ["--additional-gids", "4", "--additional-gids", "33"],
    command: show("id -G"),
    status: 0,
  },
  { name: "no --cap", command: CAPABILITIES, status: 0 },
  { name: "--cap", flags: ["--cap", "CAP_SYS_ADMIN"], command: CAPABILITIES, status: 0 },
  {
    name: "--cap for a user",
    flags: ["--cap", "CAP_SYS_ADMIN", "--user", "1000"],
    command: CAPABILITIES,
    status: 0,
  },
  {
    name: "--no-new-privs",
    flags: ["--no-new-privs"],
    command: show("grep NoNew /proc/self/status"),
    status: 0,
  },
  {
    name: "not found",
    command: ["nosuch"],
    status: 255,
    says: 'exec: "nosuch": executable file not found in $PATH',
  },
  {
    name: "not found by its path",
    command: ["/nosuch"],
    status: 255,
    says: 'exec: "/nosuch": stat /nosuch: no such file or directory',
  },
  {
    name: "not executable",
    command: ["/etc/passwd"],
    status: 255,
    says: 'exec: "/etc/passwd": permission denied',
  },
  { name: "standard input to its end", command: ["sha256sum"], status: 0 },
  { name: "standard input is not read", command: ["true"], status: 0 },
  { name: "no arguments", command: [], status: 255, says: "" },
  { name: "--process that is not there", flags: ["--process", "/nosuch"], command: [], status: 255 },
];

let machines: Containers;
let engines: Containers;
let id: { machine: string; engine: string };

beforeAll(async () => {
  machines = await openContainers("debian");
  engines = await openContainers("debian", ENGINE);
  id = { machine: await sleeper(machines), engine: await sleeper(engines) };
  for (const { runtime } of [machines, engines]) {
    writeFileSync(join(runtime.directory, "process.json"), JSON.stringify(PROCESS));
    writeFileSync(join(runtime.directory, "input"), input());
  }
}, 300_000);

afterAll(async () => {
  await machines?.close();
  await engines?.close();
}, 120_000);

async function sleeper(containers: Containers): Promise<string> {
  const container = await containers.plan(["sleep", "100000"]);
  await containers.create(container);
  await containers.runtime.succeed(["start", container.id]);
  return container.id;
}

function input(): Uint8Array {
  return new Uint8Array(8 * 1024 * 1024).map((_, index) => (index * 31 + (index >> 12)) & 0xff);
}

async function execIn({ runtime }: Containers, of: string, row: Row): Promise<Seen> {
  const flags = (row.flags ?? []).map((word) =>
    word === "PROCESS" ? join(runtime.directory, "process.json") : word,
  );
  const call = await runtime.call(["exec", ...flags, of, ...row.command], {
    stdinPath: join(runtime.directory, "input"),
  });
  return { stdout: call.stdout, stderr: call.stderr.replaceAll(of, "ID"), exitCode: call.exitCode };
}

describe("the same with runc and with urunc", () => {
  for (const row of ROWS) {
    test(row.name, async () => {
      const engine = await execIn(engines, id.engine, row);
      const machine = await execIn(machines, id.machine, row);
      expect(machine).toEqual(engine);
      expect(machine.exitCode).toBe(row.status);
      if (row.says !== undefined) expect(machine.stderr).toContain(row.says);
    });
  }
});

/** Both runtimes' containers, each with its own. */
const sides = () =>
  [
    { containers: engines, container: id.engine },
    { containers: machines, container: id.machine },
  ] as const;

describe("containers that do not run", () => {
  /** What each runtime says of a container that `make` has made. */
  async function compare(
    make: (containers: Containers) => Promise<string>,
    flags: string[] = [],
  ): Promise<Seen> {
    const [engine, machine] = await Promise.all(
      [engines, machines].map(async (containers) =>
        execIn(containers, await make(containers), { name: "", flags, command: ["true"], status: 255 }),
      ),
    );
    expect(machine as Seen).toEqual(engine as Seen);
    return machine as Seen;
  }

  test("one that is not there", async () => {
    const seen = await compare(async () => "nosuch");
    expect(seen.exitCode).not.toBe(0);
    expect(seen.stderr).toContain("container does not exist");
  });

  test("one that has ended", async () => {
    const seen = await compare(async (containers) => {
      const container = await containers.plan(["true"]);
      await containers.create(container);
      await containers.runtime.succeed(["start", container.id]);
      await containers.runtime.untilStatus(container.id, "stopped");
      return container.id;
    });
    expect(seen.exitCode).toBe(255);
    expect(seen.stderr).toContain("cannot exec in a stopped container");
  });

  test("one that is paused, and --ignore-paused, which waits until it goes on", async () => {
    for (const { containers } of sides()) {
      const { runtime } = containers;
      const container = await sleeper(containers);
      await runtime.succeed(["pause", container]);
      const refused = await runtime.call(["exec", container, "echo", "on"]);
      expect([refused.exitCode, refused.stderr]).toEqual([
        255,
        expect.stringContaining("cannot exec in a paused container"),
      ]);
      const waits = runtime.begin(["exec", "--ignore-paused", container, "echo", "on"]);
      expect(await Promise.race([waits.ended, Bun.sleep(1000)])).toBeUndefined();
      await runtime.succeed(["resume", container]);
      const { exitCode, stdout } = await waits.ended;
      expect([exitCode, stdout]).toEqual([0, "on\n"]);
    }
  });
});

describe("a terminal", () => {
  test("--tty with --console-socket: a terminal of the container, its size and its changes", async () => {
    for (const [index, { containers, container }] of sides().entries()) {
      const { runtime } = containers;
      const console = await listenForConsole(runtime.directory, `console-${index}`, {
        rows: 33,
        columns: 77,
      });
      const call = runtime.begin([
        ...["exec", "--tty", "--console-socket", console.socket, "--detach", container],
        ...[
          "sh",
          "-c",
          "tty; until [ $(stty size | cut -d' ' -f1) = 33 ]; do sleep 0.1; done; stty size; read a; echo [$a]",
        ],
      ]);
      expect((await call.ended).exitCode).toBe(0);
      await until("the size has come", () => console.text().includes("33 77\r\n"));
      console.type("typed\r");
      await console.ended;
      expect(console.text()).toMatch(/^\/dev\/pts\/\d+\r\n33 77\r\ntyped\r\n\[typed\]\r\n$/);
    }
  });

  test("--tty without a terminal of one's own, and --console-socket without --detach: as runc has it", async () => {
    const seen = await Promise.all(
      sides().map(async ({ containers, container }) => {
        const without = await containers.runtime.call(["exec", "--tty", "--detach", container, "true"]);
        const { directory } = containers.runtime;
        const socket = ["--tty", "--console-socket", join(directory, "nosuch.sock")];
        const attached = await containers.runtime.call(["exec", ...socket, container, "true"]);
        return [without, attached].map(({ exitCode, stderr }) => [
          exitCode,
          stderr.replaceAll(directory, ""),
        ]);
      }),
    );
    expect(seen[1]).toEqual(seen[0] as (typeof seen)[1]);
  });
});

describe("--detach", () => {
  test("the process goes on, and --pid-file names what ends with it", async () => {
    for (const { containers, container } of sides()) {
      const { runtime } = containers;
      const pidFile = join(runtime.directory, "exec.pid");
      const words = ["exec", "--detach", "--pid-file", pidFile, container];
      const call = await runtime.succeed([...words, "sh", "-c", "echo begun; sleep 1; echo ended"]);
      const pid = Number(readFileSync(pidFile, "utf8"));
      expect(existsSync(`/proc/${pid}`)).toBe(true);
      await until("the process has ended", () => !existsSync(`/proc/${pid}`) || isZombie(pid));
      expect(call.output()).toEqual({ stdout: "begun\nended\n", stderr: "" });
    }
  });

  test("a signal to that process is the process's in the machine", async () => {
    for (const { containers, container } of sides()) {
      const { runtime } = containers;
      const pidFile = join(runtime.directory, "exec.pid");
      const words = ["exec", "--detach", "--pid-file", pidFile, container];
      const script = "trap 'echo hup' HUP; trap 'echo term; exit' TERM; echo up; while :; do sleep 0.1; done";
      const call = await runtime.succeed([...words, "sh", "-c", script]);
      const pid = Number(readFileSync(pidFile, "utf8"));
      await until("it is up", () => call.output().stdout === "up\n");
      process.kill(pid, "SIGHUP");
      await until("the first signal has come", () => call.output().stdout === "up\nhup\n");
      process.kill(pid, "SIGTERM");
      await until("it has ended", () => !existsSync(`/proc/${pid}`) || isZombie(pid));
      expect(call.output().stdout).toBe("up\nhup\nterm\n");
    }
  });

  test("a program that is not there is an error all the same", async () => {
    const [engine, machine] = await Promise.all(
      sides().map(({ containers, container }) =>
        execIn(containers, container, { name: "", flags: ["--detach"], command: ["nosuch"], status: 255 }),
      ),
    );
    expect(machine as Seen).toEqual(engine as Seen);
    expect(machine?.exitCode).toBe(255);
  });
});

describe("what only a machine does", () => {
  const machine = (...words: string[]) => machines.runtime.call(["exec", ...words]);

  test("before start there is no machine to execute anything in", async () => {
    const container = await machines.plan(["true"]);
    await machines.create(container);
    const call = await machine(container.id, "true");
    expect([call.exitCode, call.stderr]).toEqual([
      255,
      "exec failed: the container's process is not running\n",
    ]);
  });

  test("--preserve-fds and --cgroup are refused, with a sentence", async () => {
    const descriptors = await machine("--preserve-fds", "1", id.machine, "true");
    expect(descriptors.exitCode).toBe(255);
    expect(descriptors.stderr).toBe(
      "exec failed: --preserve-fds cannot hand descriptors to a virtual machine: use a volume\n",
    );
    const cgroup = await machine("--cgroup", "/sub", id.machine, "true");
    expect(cgroup.exitCode).toBe(255);
    expect(cgroup.stderr).toBe(
      "exec failed: --cgroup: a process in a virtual machine is in the container's cgroup\n",
    );
  });

  test("50 at once, each with its own input, output and status", async () => {
    const all = await Promise.all(
      Array.from({ length: 50 }, (_, index) =>
        machine(id.machine, "sh", "-c", `echo ${index}; exit ${index}`),
      ),
    );
    expect(all.map(({ stdout, stderr, exitCode }) => [stdout, stderr, exitCode])).toEqual(
      Array.from({ length: 50 }, (_, index) => [`${index}\n`, "", index]),
    );
  });

  test("the end of a client, however it dies, ends its process, and leaves the others", async () => {
    const other = machines.runtime.begin(["exec", id.machine, "sleep", "7000"]);
    for (const signal of ["SIGKILL", "SIGTERM", "SIGHUP"] as const) {
      const words = ["exec", id.machine, "sh", "-c", "echo up; exec sleep 8000"];
      const client = machines.runtime.begin(words);
      await until("the process runs", () => runs("sleep 8000"));
      process.kill(client.pid, signal);
      await client.ended;
      await until(
        `the process has ended with its client by ${signal}`,
        async () => !(await runs("sleep 8000")),
      );
    }
    expect(await runs("sleep 7000")).toBe(true);
    process.kill(other.pid, "SIGTERM");
    expect((await other.ended).exitCode).toBe(143);
  });

  test("a client that dies while nobody reads what its process writes", async () => {
    const child = Bun.spawn(
      [runtimePath, "--root", machines.runtime.root, "exec", id.machine, "sh", "-c", "exec yes 9000"],
      { stdin: "ignore", stdout: "pipe", stderr: "ignore" },
    );
    await until("the process runs", () => runs("yes 9000"));
    await Bun.sleep(500);
    child.kill("SIGKILL");
    await until("the process has ended", async () => !(await runs("yes 9000")));
  });

  test("nothing is left of them", async () => {
    const standins = () =>
      processesInCgroup(`/${id.machine}`).filter((pid) => processName(pid).startsWith("urunc-standin"));
    await until("no further stand-in is there", () => standins().length === 1);
    const call = await machine(id.machine, "sh", "-c", "ls -d /proc/[0-9]* | wc -l");
    // The container's own, the shell, ls and wc.
    expect(Number(call.stdout)).toBeLessThanOrEqual(4);
    const directory = join(machines.runtime.root, "containers", id.machine);
    const files = [...readdirSync(directory), ...readdirSync(join(directory, "vm"))];
    expect(files.filter((name) => name.startsWith("exec-"))).toEqual([]);
  });

  async function runs(command: string): Promise<boolean> {
    const { stdout } = await machine(id.machine, "ps", "-eo", "args");
    return stdout.split("\n").includes(command);
  }
});

function isZombie(pid: number): boolean {
  try {
    return /^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return true;
  }
}
