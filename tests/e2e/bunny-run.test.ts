import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { copyFileSync, existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type BunnyHome, type Caller, makeBunnyHome } from "../harness/bunny.ts";
import { type CommandResult, succeed, until } from "../harness/command.ts";
import { ensureImage } from "../harness/images.ts";
import { traces } from "../harness/leaks.ts";
import { startRegistry } from "../harness/registry.ts";
import { openScreen } from "../harness/screen.ts";

setDefaultTimeout(120_000);

const NAME_TOOL = join(import.meta.dir, "../harness/name-tool.c");
const callers: Caller[] = ["root", "an ordinary user"];

describe.each(callers)("bunny run by %s", (caller) => {
  let home: BunnyHome;
  const bunny = (...args: string[]) => home.succeed(...args);
  const run = (...args: string[]): Promise<CommandResult> => home.run(["run", "--rm", ...args]);
  const started: string[] = [];

  /** Runs a machine in the background; gives its id. */
  const inBackground = async (...args: string[]) => {
    const id = await bunny("run", "-d", ...args);
    expect(id).toMatch(/^[0-9a-f]{64}$/);
    started.push(id);
    return id;
  };

  beforeAll(async () => {
    const { archive } = await ensureImage("busybox");
    home = await makeBunnyHome(caller);
    const copy = join(home.directory, "image.tar");
    copyFileSync(archive, copy);
    await bunny("copy", `docker-archive:${copy}`, "box");
  });
  afterAll(() => home?.remove());

  test("streams, arguments and the exit status are the application's", async () => {
    const words = ["", "a b", "'\"$x", "ü"];
    const result = await run("box", "sh", "-c", 'printf "<%s>" "$@"; echo err >&2; exit 7', "sh", ...words);
    expect(result).toEqual({ exitCode: 7, stdout: "<><a b><'\"$x><ü>", stderr: "err\n" });
    expect(await bunny("ps", "-aq")).toBe("");
  });

  test("standard input arrives with -i, and is empty without", async () => {
    const large = "x".repeat(300_000);
    const { stdout } = await home.run(["run", "--rm", "-i", "box", "wc", "-c"], { stdin: large });
    expect(stdout.trim()).toBe("300000");
    const none = await home.run(["run", "--rm", "box", "wc", "-c"], { stdin: large });
    expect(none.stdout.trim()).toBe("0");
  });

  test("a terminal is one, with its size, input and status", async () => {
    const inner = 'test -t 0 && stty size; echo ready; read x; echo "got $x"; exit 4';
    const words = [...home.argv, "run", "--rm", "-it", "box", "sh", "-c", inner];
    const environment = Object.entries(home.environment).map(([name, value]) => `${name}=${value}`);
    const screen = openScreen(["env", ...environment, ...words], { rows: 33, columns: 99 });
    await screen.see("33 99");
    await screen.see("ready");
    screen.type("hello\r");
    await screen.see("got hello");
    expect(await screen.exited).toBe(4);
  });

  test("environment, user, directory, name and entry point are what was asked for", async () => {
    const file = join(home.directory, "variables");
    writeFileSync(file, "# none\nFROM_FILE=1 2\n\nTAKEN\n");
    const { stdout } = await home.run(
      [
        ...[
          "run",
          "--rm",
          "-e",
          "A=b=c",
          "-e",
          "TAKEN",
          "--env-file",
          file,
          "-u",
          "www-data",
          "-w",
          "/new/one",
        ],
        ...["--hostname", "somebody", "--entrypoint", "sh", "box", "-c"],
        'echo "$A/$TAKEN/$FROM_FILE"; id; pwd; hostname; grep somebody /etc/hosts; cat /etc/hostname',
      ],
      { env: { TAKEN: "taken" } },
    );
    expect(stdout).toBe(
      "b=c/taken/1 2\nuid=33(www-data) gid=33(www-data)\n/new/one\nsomebody\n10.0.2.15\tsomebody\nsomebody\n",
    );
    const user = await run("-u", "user:adm", "box", "id");
    expect(user.stdout).toBe("uid=1000(user) gid=4(adm)\n");
    const groups = await run("-u", "user", "box", "id", "-G");
    expect(groups.stdout).toBe("1000 100\n");
  });

  test("volumes are the host's, read-only where that was said", async () => {
    const volume = home.makeDirectory("volume");
    writeFileSync(join(volume, "file"), "old\n");
    const script = "cat /v/file; echo new >/v/made; echo x >/r/file; mkdir /v/dir; ls /r";
    const result = await run("-v", `${volume}:/v`, "-v", `${volume}:/r:ro`, "box", "sh", "-c", script);
    expect(result.stdout).toBe("old\ndir\nfile\nmade\n");
    expect(result.stderr).toContain("Read-only file system");
    expect(readFileSync(join(volume, "made"), "utf8")).toBe("new\n");
    const { uid } = statSync(join(volume, "made"));
    expect(uid).toBe(statSync(volume).uid);
    await run("-v", `${volume}/a/b:/v`, "box", "touch", "/v/c");
    expect(existsSync(join(volume, "a/b/c"))).toBe(true);
  });

  test("the root can be written to, or not, and what was written goes with the machine", async () => {
    expect((await run("box", "sh", "-c", "echo x >/etc/x && rm /bin/ls && cat /etc/x")).stdout).toBe("x\n");
    expect((await run("box", "ls", "/etc/x")).exitCode).toBe(1);
    const script = "touch /x || touch /t/x && df /t | tail -1 | awk '{print $2}'";
    const result = await run("--read-only", "--tmpfs", "/t:size=1m", "box", "sh", "-c", script);
    expect(result.stdout).toBe("1024\n");
    expect(result.stderr).toContain("Read-only file system");
  });

  test("a user other than root may listen on any port", async () => {
    const script = "httpd -p 127.0.0.1:80 && wget -qO- http://127.0.0.1/file";
    const words = ["-w", "/tmp", "--entrypoint", "sh", "-u", "www-data", "box", "-c"];
    expect((await run(...words, `echo served > file; ${script}`)).stdout).toBe("served\n");
  });

  test("memory and processors are the machine's", async () => {
    const script = "nproc; awk '/MemTotal/ { print ($2 > 100000 && $2 < 151552) }' /proc/meminfo";
    expect((await run("-m", "148m", "--cpus", "1.5", "box", "sh", "-c", script)).stdout).toBe("2\n1\n");
  });

  test("without a network there is the loopback alone", async () => {
    const { stdout } = await run("--network", "none", "box", "sh", "-c", "ip -o link | cut -d: -f2");
    expect(stdout).toBe(" lo\n");
    expect((await run("box", "sh", "-c", "ip -o -4 addr | awk '{print $4}'")).stdout).toContain(
      "10.0.2.15/24",
    );
  });

  test("published ports lead to the machine, by TCP and UDP", async () => {
    const tool = join(home.directory, "name-tool");
    await succeed(["musl-gcc", "-static", "-O2", "-o", tool, NAME_TOOL]);
    const script = "echo page >/tmp/index.html; httpd -p 80 -h /tmp; exec /name-tool serve 0.0.0.0";
    const published = ["-p", "127.0.0.1::80", "-p", "127.0.0.1::53/udp"];
    const words = [
      "--rm",
      "--name",
      "ports",
      ...published,
      "-v",
      `${tool}:/name-tool:ro`,
      "box",
      "sh",
      "-c",
      script,
    ];
    await inBackground(...words);
    const { Ports } = JSON.parse(await bunny("inspect", "ports")) as {
      Ports: { protocol: string; hostPort: number }[];
    };
    const [tcp, udp] = Ports.map(({ hostPort }) => hostPort);
    expect(await bunny("ps")).toContain(`127.0.0.1:${tcp}->80/tcp, 127.0.0.1:${udp}->53/udp`);
    const page = await until("the page is served", async () => {
      try {
        return await (await fetch(`http://127.0.0.1:${tcp}/`)).text();
      } catch {
        return undefined;
      }
    });
    expect(page).toBe("page\n");
    expect(await askByUdp(udp as number, "www.test")).toEqual([192, 0, 2, 7]);
    // It is taken now.
    const second = await run("-p", `127.0.0.1:${tcp}:80`, "box", "true");
    expect(second.exitCode).toBe(125);
    expect(second.stderr).toBe(`Bind for 127.0.0.1:${tcp} failed: port is already allocated\n`);
    await bunny("stop", "-t", "0", "ports");
    expect(await bunny("ps", "-a", "--format", "json")).toBe("");
  });

  test("a machine in the background is listed, followed, entered, stopped and removed", async () => {
    const script = 'trap "echo bye; exit 3" TERM; echo out; echo err >&2; while :; do sleep 0.1; done';
    const id = await inBackground("--name", "back", "-e", "A=1", "--label", "l=v", "box", "sh", "-c", script);
    const [row] = (await bunny("ps", "--format", "json", "--no-trunc")).split("\n");
    expect(JSON.parse(row ?? "")).toMatchObject({ ID: id, Names: "back", State: "running", Labels: "l=v" });
    expect(await bunny("ps", "-q")).toBe(id.slice(0, 12));

    const follower = home.run(["logs", "-f", "back"]);
    const inside = await home.run([
      "exec",
      "-e",
      "B=2",
      "-w",
      "/tmp",
      "-u",
      "daemon",
      "back",
      "sh",
      "-c",
      'echo "$A$B"; pwd; id -u; exit 5',
    ]);
    expect(inside).toEqual({ exitCode: 5, stdout: "12\n/tmp\n1\n", stderr: "" });
    expect((await home.run(["exec", "-i", id.slice(0, 12), "cat"], { stdin: "in" })).stdout).toBe("in");
    expect((await home.run(["exec", "back", "cat"], { stdin: "in" })).stdout).toBe("");
    expect((await home.run(["exec", "back", "missing"])).exitCode).toBe(127);
    await bunny("exec", "-d", "back", "touch", "/tmp/detached");
    await until("the detached command has run", async () => {
      return (await home.run(["exec", "back", "test", "-e", "/tmp/detached"])).exitCode === 0;
    });

    const running = await home.run(["rm", "back"]);
    expect(running.exitCode).toBe(1);
    expect(running.stderr).toContain(`You cannot remove a running container ${id}`);
    const waiter = home.run(["wait", "back"]);
    await Bun.sleep(300);
    expect(await bunny("stop", "back")).toBe("back");
    expect((await waiter).stdout).toBe("3\n");
    expect(await follower).toEqual({ exitCode: 0, stdout: "out\nbye\n", stderr: "err\n" });

    expect(JSON.parse(await bunny("inspect", "back"))).toMatchObject({
      ...{ Id: id, Name: "back", Labels: { l: "v" } },
      State: { Status: "exited", Running: false, Pid: 0, ExitCode: 3 },
    });
    expect(await bunny("ps", "-q")).toBe("");
    expect(await bunny("ps", "-a")).toContain("Exited (3)");
    expect((await home.run(["logs", "--tail", "1", "back"])).stdout).toBe("bye\n");
    const stamped = await home.run(["logs", "-t", "back"]);
    expect(stamped.stderr).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z err\n$/);
    expect((await home.run(["exec", "back", "true"])).stderr).toBe(`Container ${id} is not running\n`);
    expect(await bunny("rm", "back")).toBe("back");
    expect(existsSync(join(home.machines, id))).toBe(false);
    await expectNoTraces(id);
  });

  test("a machine that does not end when it is asked is ended, and others are signalled", async () => {
    const deaf = await inBackground("box", "sh", "-c", 'trap "" TERM; echo up; while :; do sleep 1; done');
    await until("the trap is set", async () => (await home.run(["logs", deaf])).stdout === "up\n");
    await bunny("stop", "-t", "1", deaf);
    expect(await bunny("wait", deaf)).toBe("137");
    const script = 'trap "exit 8" USR1; echo up; while :; do sleep 0.1; done';
    const asked = await inBackground("--stop-signal", "SIGUSR1", "box", "sh", "-c", script);
    await until("the trap is set", async () => (await home.run(["logs", asked])).stdout === "up\n");
    await bunny("stop", asked);
    expect(await bunny("wait", asked)).toBe("8");
    expect((await home.run(["kill", asked])).stderr).toContain("is not running");
    await bunny("rm", deaf, asked);
  });

  test("a terminal in the background keeps what is written to it", async () => {
    const id = await inBackground("-t", "box", "sh", "-c", "test -t 1 && tty; sleep 60");
    await until("the terminal's output is kept", async () => {
      return (await home.run(["logs", id])).stdout === "/dev/pts/0\r\n";
    });
    await bunny("rm", "-f", id);
    await expectNoTraces(id);
  });

  test("the second machine of an image does not unpack it", async () => {
    await run("box", "true");
    const looks = () =>
      readdirSync(home.roots).map((name) => {
        const { ino, mtimeMs } = statSync(join(home.roots, name, "root.erofs"));
        return { name, ino, mtimeMs };
      });
    const before = looks();
    expect(before.length).toBe(1);
    // Nobody reads the layer any more: it could not be unpacked again.
    const blobs = join(home.store, "blobs/sha256");
    const layer = readdirSync(blobs).find((name) => statSync(join(blobs, name)).size > 100_000) as string;
    const content = readFileSync(join(blobs, layer));
    writeFileSync(join(blobs, layer), Buffer.alloc(content.length));
    try {
      expect((await run("box", "echo", "again")).stdout).toBe("again\n");
    } finally {
      writeFileSync(join(blobs, layer), content);
    }
    expect(looks()).toEqual(before);
  });

  test("ten at once unpack an image once, and all run", async () => {
    const fresh = await makeBunnyHome(caller);
    try {
      const copy = join(fresh.directory, "image.tar");
      copyFileSync((await ensureImage("busybox")).archive, copy);
      await fresh.succeed("copy", `docker-archive:${copy}`, "box");
      const all = Array.from({ length: 10 }, (_, index) =>
        fresh.succeed("run", "--rm", "box", "echo", `${index}`),
      );
      expect(await Promise.all(all)).toEqual(Array.from({ length: 10 }, (_, index) => `${index}`));
      expect(readdirSync(join(fresh.roots)).length).toBe(1);
      expect(await fresh.succeed("ps", "-aq")).toBe("");
    } finally {
      await fresh.remove();
    }
  });

  test("a client that is killed takes its machine with it, and the next command what it left", async () => {
    const words = [...home.argv, "run", "--rm", "--name", "killed", "box", "sh", "-c", "echo up; sleep 1000"];
    const child = Bun.spawn(words, {
      env: home.environment,
      stdin: "ignore",
      stdout: "pipe",
      stderr: "ignore",
    });
    const { value } = await child.stdout.getReader().read();
    expect(Buffer.from(value ?? []).toString()).toBe("up\n");
    const id = await bunny("ps", "-q", "--no-trunc");
    child.kill("SIGKILL");
    await until(
      "the machine has ended",
      () => traces([id]).filter((trace) => trace.startsWith("process")).length === 0,
    );
    expect(await bunny("ps", "-a", "--format", "json")).toBe("");
    expect(existsSync(join(home.machines, id))).toBe(false);
    await expectNoTraces(id);
  });

  test("a keeper or a stand-in that is killed leaves a machine that has ended with 137", async () => {
    const unkept = await inBackground("box", "sleep", "1000");
    process.kill(processOf("bunny-keeper", unkept), "SIGKILL");
    await until("the machine is known to have ended", async () => (await bunny("ps", "-q")) === "");
    expect(await bunny("wait", unkept)).toBe("137");
    const standing = await inBackground("box", "sleep", "1000");
    const { State } = JSON.parse(await bunny("inspect", standing)) as { State: { Pid: number } };
    process.kill(State.Pid, "SIGKILL");
    expect(await bunny("wait", standing)).toBe("137");
    await bunny("rm", unkept, standing);
    await expectNoTraces(unkept, standing);
  });

  test("an image is pulled if it is missing, always, or never", async () => {
    const registry = await startRegistry();
    try {
      const name = `${registry.host}/box:1`;
      await bunny("copy", "box", `docker://${name}`);
      expect((await run("--pull", "never", name, "true")).exitCode).toBe(125);
      const first = await run("-q", name, "echo", "here");
      expect(first).toEqual({
        exitCode: 0,
        stdout: "here\n",
        stderr: `Unable to find image '${name}' locally\n`,
      });
      expect((await run(name, "echo", "again")).stderr).toBe("");
      expect((await run("-q", "--pull", "always", name, "echo", "anew")).stdout).toBe("anew\n");
      const missing = await run(`${registry.host}/nosuch`, "true");
      expect({ exitCode: missing.exitCode, stdout: missing.stdout }).toEqual({ exitCode: 125, stdout: "" });
    } finally {
      await registry.stop();
    }
  });

  test("a signal to the client is the application's", async () => {
    const script = 'trap "exit 9" TERM; echo up; while :; do sleep 0.1; done';
    const child = Bun.spawn([...home.argv, "run", "--rm", "box", "sh", "-c", script], {
      ...{ env: home.environment, stdin: "ignore", stdout: "pipe", stderr: "ignore" },
    });
    await child.stdout.getReader().read();
    child.kill("SIGTERM");
    expect(await child.exited).toBe(9);
  });

  test("names are one machine's", async () => {
    const id = await inBackground("--name", "twin", "box", "sleep", "1000");
    const second = await run("--name", "twin", "box", "true");
    expect(second.exitCode).toBe(125);
    expect(second.stderr).toStartWith(
      `Conflict. The container name "/twin" is already in use by container "${id}".`,
    );
    await bunny("rm", "-f", "twin");
    expect((await run("--name", "twin", "box", "true")).exitCode).toBe(0);
  });

  const refused: [words: string[], status: number, sentence: string | RegExp][] = [
    [[], 125, "bunny run requires at least 1 argument"],
    [["--nonsense", "box"], 125, "unknown flag: --nonsense"],
    [["-Z", "box"], 125, "unknown shorthand flag: 'Z' in -Z"],
    [["--name"], 125, "flag needs an argument: --name"],
    [["--rm=maybe", "box"], 125, 'invalid argument "maybe" for "--rm" flag'],
    [
      ["--name", "a b", "box"],
      125,
      "invalid container name (a b), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed",
    ],
    [["-m", "much", "box"], 125, 'invalid argument "much" for "-m, --memory" flag'],
    [["-m", "6m", "box"], 125, "too small to boot a virtual machine"],
    [["--cpus", "x", "box"], 125, "failed to parse x as a rational number"],
    [["-p", "x:80", "box"], 125, "invalid hostPort: x"],
    [["-p", "80:99999", "box"], 125, "invalid containerPort: 99999"],
    [["-p", "80/sctp", "box"], 125, "invalid proto: sctp"],
    [
      ["-p", "80", "--network", "none", "box"],
      125,
      "conflicting options: port publishing and the network none",
    ],
    [["--network", "bridge", "box"], 125, 'invalid network option: "bridge"'],
    [["-v", "/a:b", "box"], 125, "mount path must be absolute"],
    [["-v", "/a:/", "box"], 125, "destination can't be '/'"],
    [["-v", "/a:/b:wx", "box"], 125, "invalid mode: wx"],
    [["-v", "data:/b", "box"], 125, "names a volume, and there are none"],
    [["-v", "/a:/b", "--tmpfs", "/b", "box"], 125, "Duplicate mount point: /b"],
    [
      ["-w", "relative", "box"],
      125,
      "the working directory 'relative' is invalid, it needs to be an absolute path",
    ],
    [["-e", "=x", "box"], 125, "invalid environment variable: =x"],
    [["--env-file", "/nonexistent", "box"], 125, "open /nonexistent: no such file or directory"],
    [["-u", "nosuch", "box"], 125, "unable to find user nosuch: no matching entries in passwd file"],
    [["-u", "0:nosuch", "box"], 125, "unable to find group nosuch: no matching entries in group file"],
    [["--stop-signal", "SIGX", "box"], 125, "Invalid signal: SIGX"],
    [["--pull", "never", "nosuch"], 125, "nosuch:latest is not in "],
    [["-it", "box", "sh"], 125, "the input device is not a TTY"],
    [["box", "nosuch"], 127, 'exec: "nosuch": executable file not found in $PATH'],
    [["box", "/no/such"], 127, 'exec: "/no/such": stat /no/such: no such file or directory'],
    [["box", "/etc/passwd"], 126, 'exec: "/etc/passwd": permission denied'],
    [["-d", "box", "nosuch"], 127, 'exec: "nosuch": executable file not found in $PATH'],
    [["--entrypoint", "", "box"], 125, "No command specified"],
  ];
  test("bad input is refused with Docker's status and one sentence, and leaves nothing", async () => {
    for (const [words, exitCode, sentence] of refused) {
      const result = await home.run(["run", "--rm", ...words]);
      expect({ words, exitCode: result.exitCode, stdout: result.stdout }).toEqual({
        words,
        exitCode,
        stdout: "",
      });
      expect(result.stderr).toContain(sentence as string);
      expect(result.stderr.trimEnd().split("\n").length).toBe(1);
    }
    for (const verb of ["stop", "kill", "rm", "wait", "logs"]) {
      const missing = await home.run([verb, "nosuch"]);
      expect(missing).toEqual({ exitCode: 1, stdout: "", stderr: "No such container: nosuch\n" });
    }
    expect((await home.run(["exec", "nosuch", "true"])).stderr).toBe("No such container: nosuch\n");
    await until("nothing is left", async () => (await bunny("ps", "-aq")) === "");
    expect(readdirSync(home.machines)).toEqual([]);
  });

  test("all that ran has left nothing behind", async () => {
    await expectNoTraces(...started);
  });

  async function expectNoTraces(...ids: string[]): Promise<void> {
    await until("nothing is left", () => traces(ids).length === 0, 10_000).catch(() => {});
    expect(traces(ids)).toEqual([]);
  }
});

/** The process of a program that has a word among its arguments. */
function processOf(program: string, word: string): number {
  const found = readdirSync("/proc").find((pid) => {
    if (!/^\d+$/.test(pid)) return false;
    try {
      const argv = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
      return argv[0]?.endsWith(program) && argv.includes(word);
    } catch {
      return false;
    }
  });
  if (found === undefined) throw new Error(`no ${program} of ${word}`);
  return Number(found);
}

/** Asks a server of names for an IPv4 address; gives its bytes. */
async function askByUdp(port: number, name: string): Promise<number[]> {
  const labels = name.split(".").flatMap((label) => [label.length, ...Buffer.from(label)]);
  const query = Buffer.from([0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, ...labels, 0, 0, 1, 0, 1]);
  let answer: Buffer | undefined;
  const socket = await Bun.udpSocket({
    socket: {
      data(_, bytes) {
        answer = Buffer.from(bytes);
      },
    },
  });
  try {
    return await until("the machine answers", async () => {
      socket.send(query, port, "127.0.0.1");
      await Bun.sleep(200);
      return answer === undefined ? undefined : [...answer.subarray(-4)];
    });
  } finally {
    socket.close();
  }
}
