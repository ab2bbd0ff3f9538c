import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync } from "node:fs";
import { release } from "node:os";
import { join } from "node:path";
import { command, until } from "../harness/command.ts";
import { ensureImage } from "../harness/images.ts";
import { expectNothingLeft } from "../harness/leaks.ts";
import { imageReference } from "../harness/loaded-docker.ts";
import { openPodman, type Podman } from "../harness/podman.ts";

setDefaultTimeout(120_000);

const debian = `localhost/${imageReference("debian")}`;
const echo = `localhost/${imageReference("echo")}`;
const FETCH = join(import.meta.dir, "../harness/fetch-text.ts");
const FORWARDING = "/proc/sys/net/ipv4/ip_forward";

let podman: Podman;
let forwarding: string;

beforeAll(async () => {
  forwarding = readFileSync(FORWARDING, "utf8");
  const images = [await ensureImage("debian"), await ensureImage("echo")];
  podman = await openPodman();
  for (const { archive } of images) await podman.succeed(["load", "--input", archive]);
}, 600_000);

afterAll(async () => {
  if (podman === undefined) return;
  await podman.stop();
  await expectNothingLeft([podman.directory, podman.name]);
  expect(readFileSync(FORWARDING, "utf8")).toBe(forwarding);
}, 120_000);

function detach(args: readonly string[]): Promise<string> {
  return podman.succeed(["run", "--detach", ...args]);
}

function inspect(id: string, format: string): Promise<string> {
  return podman.succeed(["inspect", "--format", format, id]);
}

async function untilLogged(id: string, text: string): Promise<void> {
  await until(`${id} prints ${text}`, async () => (await podman.run(["logs", id])).stdout.includes(text));
}

async function remove(id: string): Promise<void> {
  await podman.succeed(["rm", "--force", "--time", "0", id]);
  await expectNothingLeft([id], [join(podman.directory, "run")]);
}

const LOOP = ["bash", "-c", "trap 'echo got TERM; exit 9' TERM; echo ready; while :; do sleep 0.1; done"];

describe("podman run", () => {
  test("an image is a machine: kernel, streams apart, exit status", async () => {
    const result = await podman.run(["run", "--rm", debian, "sh", "-c", "uname -r; echo err >&2; exit 7"]);
    expect(result.stdout).toMatch(/-urunc\n$/);
    expect(result.stdout).not.toBe(`${release()}\n`);
    expect(result).toMatchObject({ stderr: "err\n", exitCode: 7 });
  });

  test("--runtime runc beside it stays a container", async () => {
    expect(await podman.succeed(["--runtime", "runc", "run", "--rm", debian, "uname", "-r"])).toBe(release());
  });

  test("standard input, environment, user, working directory, volumes", async () => {
    const args = [
      "-i",
      "-e",
      "A=one two",
      "-u",
      "1000:5",
      "-w",
      "/tmp",
      "-v",
      `${podman.directory}/networks:/data:ro`,
    ];
    const script = 'cat; echo "$A"; id -u; id -g; pwd; head -c 1 /data/podman.conflist';
    const words = ["run", "--rm", ...args, debian, "sh", "-c", script];
    expect(await podman.succeed(words, { stdin: "in\n" })).toBe("in\none two\n1000\n5\n/tmp\n{");
  });

  test("a program that is not there gives 127, and one that cannot be run 126", async () => {
    const [name, path, directory] = await Promise.all(
      ["nosuch", "/no/such", "/etc"].map((program) => podman.run(["run", "--rm", debian, program])),
    );
    expect(name?.exitCode).toBe(127);
    expect(name?.stderr).toContain('exec: "nosuch": executable file not found in $PATH');
    expect(path?.exitCode).toBe(127);
    expect(path?.stderr).toContain('exec: "/no/such": stat /no/such: no such file or directory');
    expect(directory?.exitCode).toBe(126);
    expect(directory?.stderr).toContain('exec: "/etc": permission denied');
  });

  test("a published port, and the bridge", async () => {
    const id = await detach(["--publish", "8088:8080", echo]);
    const address = await inspect(id, "{{.NetworkSettings.IPAddress}}");
    for (const url of [`http://${address}:8080/`, "http://127.0.0.1:8088/"]) {
      const ask = podman.inNetwork([process.execPath, FETCH, url]);
      const answer = await until(url, async () => {
        const result = await command(ask, { timeoutMs: 30_000 });
        return result.exitCode === 0 && result.stdout;
      });
      expect(answer).not.toBe("");
    }
    await remove(id);
  });
});

describe("a running one", () => {
  test("exec, logs, stats, stop", async () => {
    const id = await detach([debian, ...LOOP]);
    await untilLogged(id, "ready");
    const executed = await podman.run(["exec", id, "sh", "-c", "uname -r; echo err >&2; exit 3"]);
    expect(executed.stdout).toMatch(/-urunc\n$/);
    expect(executed).toMatchObject({ stderr: "err\n", exitCode: 3 });
    const stats = await podman.succeed(["stats", "--no-stream", "--format", "{{.MemUsage}} {{.PIDs}}", id]);
    expect(stats).toMatch(/^[\d.]+MB \/ \S+ [1-9]\d*$/);
    await podman.succeed(["stop", "--time", "60", id]);
    expect(await inspect(id, "{{.State.Status}} {{.State.ExitCode}}")).toBe("exited 9");
    // The application's alone: nothing of the runtime's own on either stream.
    const logs = await podman.run(["logs", id]);
    expect(logs).toEqual({ stdout: "ready\ngot TERM\n", stderr: "", exitCode: 0 });
    await remove(id);
  });

  test("pause and unpause, kill, wait, restart with its files", async () => {
    const script = "echo x >> /count; wc -l < /count; while :; do sleep 0.1; done";
    const id = await detach([debian, "bash", "-c", script]);
    await untilLogged(id, "1\n");
    await podman.succeed(["pause", id]);
    expect(await inspect(id, "{{.State.Status}}")).toBe("paused");
    await podman.succeed(["unpause", id]);
    await podman.succeed(["restart", "--time", "0", id]);
    await untilLogged(id, "2\n");
    await podman.succeed(["kill", id]);
    expect(await podman.succeed(["wait", id])).toBe("137");
    await remove(id);
  });

  test("a health check says what its command in the guest says", async () => {
    const check = ["--health-cmd", "test -e /tmp/healthy", "--health-interval", "disable"];
    const id = await detach([...check, debian, ...LOOP]);
    await untilLogged(id, "ready");
    expect((await podman.run(["healthcheck", "run", id])).exitCode).toBe(1);
    await podman.succeed(["exec", id, "touch", "/tmp/healthy"]);
    expect((await podman.run(["healthcheck", "run", id])).exitCode).toBe(0);
    await remove(id);
  });

  test("cp in before the start and out after the end, commit", async () => {
    const id = await podman.succeed(["create", debian, "cp", "/root/in", "/root/out"]);
    await podman.succeed(["cp", join(podman.directory, "containers.conf"), `${id}:/root/in`]);
    await podman.succeed(["start", "--attach", id]);
    await podman.succeed(["cp", `${id}:/root/out`, join(podman.directory, "out")]);
    const text = (name: string) => readFileSync(join(podman.directory, name), "utf8");
    expect(text("out")).toBe(text("containers.conf"));
    await podman.succeed(["commit", id, "localhost/committed"]);
    const first = ["run", "--rm", "localhost/committed", "head", "-n", "1", "/root/out"];
    expect(await podman.succeed(first)).toBe("[containers]");
    await remove(id);
  });
});

describe("a pod", () => {
  test("a machine and containers of runc's in it have one address", async () => {
    await podman.succeed(["pod", "create", "--name", "pod"]);
    const machine = await detach(["--pod", "pod", debian, ...LOOP]);
    await untilLogged(machine, "ready");
    const addresses = "ip -4 -o address show dev eth0 | tr -s ' ' | cut -d' ' -f4";
    const ofMachine = await podman.succeed(["exec", machine, "sh", "-c", `uname -r; ${addresses}`]);
    const container = ["run", "--rm", "--pod", "pod", debian, "sh", "-c", `uname -r; ${addresses}`];
    const ofContainer = await podman.succeed(["--runtime", "runc", ...container]);
    expect(ofMachine).toMatch(/-urunc\n10\.88\./);
    expect(ofContainer).toBe(`${release()}\n${ofMachine.split("\n")[1]}`);

    const second = await podman.run(["run", "--rm", "--pod", "pod", debian, "true"]);
    expect(second.exitCode).toBe(126);
    expect(second.stderr).toContain("two virtual machines cannot share one");
    await podman.succeed(["pod", "stop", "--time", "60", "pod"]);
    expect(await inspect(machine, "{{.State.ExitCode}}")).toBe("9");
    await podman.succeed(["pod", "rm", "--force", "pod"]);
    await expectNothingLeft([machine], [join(podman.directory, "run")]);
  });
});
