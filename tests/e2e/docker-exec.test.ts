import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { until } from "../harness/command.ts";
import type { Docker } from "../harness/docker.ts";
import { imageReference, startLoadedDocker } from "../harness/loaded-docker.ts";

setDefaultTimeout(120_000);

let docker: Docker;
const NAME = "machine";

beforeAll(async () => {
  docker = await startLoadedDocker("exec", ["debian"]);
  const words = ["run", "--detach", "--runtime", "urunc", "--name", NAME, "-e", "WHERE=container"];
  await docker.succeed([...words, imageReference("debian"), "sleep", "100000"]);
});

afterAll(() => docker?.stop());

const exec = (flags: string[], ...command: string[]) => docker.run(["exec", ...flags, NAME, ...command]);

describe("docker exec", () => {
  test("a process beside the container's own: its streams apart, its exit status", async () => {
    const result = await exec(
      [],
      "sh",
      "-c",
      "cat /proc/1/cmdline | tr '\\0' ' '; echo $WHERE; echo err >&2; exit 5",
    );
    expect(result).toEqual({ stdout: "sleep 100000 container\n", stderr: "err\n", exitCode: 5 });
  });

  test("-u, -w and -e", async () => {
    const flags = ["-u", "1000:5", "-w", "/tmp", "-e", "A=one two\nthree", "-e", "EMPTY="];
    const { stdout } = await exec(flags, "sh", "-c", 'id -u; id -g; pwd; printf "%s|%s|" "$A" "$EMPTY"');
    expect(stdout).toBe("1000\n5\n/tmp\none two\nthree||");
  });

  test("-t gives a terminal of its own", async () => {
    const { stdout, exitCode } = await exec(["-t"], "sh", "-c", "tty; test -t 2 && exit 3");
    expect(stdout).toMatch(/^\/dev\/pts\/\d+\r\n$/);
    expect(exitCode).toBe(3);
  });

  test("-d goes on by itself", async () => {
    const started = await exec(["-d"], "sh", "-c", "sleep 0.2; echo done > /tmp/detached");
    expect(started.exitCode).toBe(0);
    await until("the detached process has written", async () => {
      return (await exec([], "cat", "/tmp/detached")).stdout === "done\n";
    });
  });

  test("20 MiB go in and come back the same", async () => {
    const bytes = new Uint8Array(20 * 1024 * 1024).map((_, index) => (index * 31 + (index >> 12)) & 0xff);
    const wanted = new Bun.CryptoHasher("sha256").update(bytes).digest("hex");
    const there = await docker.run(["exec", "-i", NAME, "sha256sum"], { stdin: bytes });
    expect(there.stdout).toBe(`${wanted}  -\n`);
    const back = `${docker.layout.directory}/back`;
    const client = Bun.spawn(
      [
        "sh",
        "-c",
        'exec "$@" > "$0"',
        back,
        ...docker.inNetwork(["/usr/bin/docker", "--host", `unix://${docker.socket}`]),
      ].concat(["exec", "-i", NAME, "cat"]),
      { stdin: bytes },
    );
    expect(await client.exited).toBe(0);
    expect(new Bun.CryptoHasher("sha256").update(await Bun.file(back).bytes()).digest("hex")).toBe(wanted);
  });

  test("50 at once, each with its own status and output", async () => {
    const all = await Promise.all(
      Array.from({ length: 50 }, (_, index) => exec([], "sh", "-c", `echo ${index}; exit ${index}`)),
    );
    expect(all.map(({ stdout, exitCode }) => [stdout, exitCode])).toEqual(
      Array.from({ length: 50 }, (_, index) => [`${index}\n`, index]),
    );
    const { stdout } = await exec([], "sh", "-c", "ls -d /proc/[0-9]* | wc -l");
    // The container's own, the shell, ls and wc.
    expect(Number(stdout)).toBeLessThanOrEqual(4);
  });

  test("a program that is not there, and one that cannot be run: Docker says what it says of a container", async () => {
    const missing = await exec([], "nosuch");
    expect(missing.stdout + missing.stderr).toContain('exec: "nosuch": executable file not found in $PATH');
    expect(missing.exitCode).toBeOneOf([126, 127]);
    const notRunnable = await exec([], "/etc/passwd");
    expect(notRunnable.stdout + notRunnable.stderr).toContain('exec: "/etc/passwd": permission denied');
    expect(notRunnable.exitCode).toBe(126);
  });

  test("a child that stays does not hold the process's end up", async () => {
    const result = await exec([], "sh", "-c", "sleep 5 & echo begun; exit 4");
    expect(result).toEqual({ stdout: "begun\n", stderr: "", exitCode: 4 });
  });

  test("a health check becomes healthy", async () => {
    const words = [
      "run",
      "--detach",
      "--runtime",
      "urunc",
      "--health-cmd",
      "test -e /etc/passwd",
      "--health-interval",
      "1s",
    ];
    const id = await docker.succeed([...words, imageReference("debian"), "sleep", "100000"]);
    const ask = ["inspect", "--format", "{{.State.Health.Status}}", id];
    await until("the container is healthy", async () => (await docker.succeed(ask)) === "healthy");
    await docker.succeed(["rm", "--force", id]);
  });

  test("the end of the machine ends what was added to it, with 137", async () => {
    const id = await docker.succeed([
      "run",
      "--detach",
      "--runtime",
      "urunc",
      imageReference("debian"),
      "sleep",
      "100000",
    ]);
    const added = docker.run(["exec", id, "sh", "-c", "echo up; sleep 100000"]);
    await until("the added process runs", async () => {
      return (await docker.run(["exec", id, "pgrep", "-f", "echo up"])).exitCode === 0;
    });
    await docker.succeed(["kill", id]);
    expect((await added).exitCode).toBe(137);
    const stopped = await docker.run(["exec", id, "true"]);
    expect(stopped.exitCode).toBe(1);
    expect(stopped.stderr).toContain("is not running");
  });
});
