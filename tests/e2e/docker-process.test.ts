import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { chmodSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { until } from "../harness/command.ts";
import type { Docker } from "../harness/docker.ts";
import { useLoadedDocker } from "../harness/docker-for-tests.ts";
import type { DockerMachines } from "../harness/docker-machines.ts";
import { expectNothingLeft } from "../harness/leaks.ts";
import { imageReference } from "../harness/loaded-docker.ts";
import { runsMachines } from "../harness/runtime.ts";

setDefaultTimeout(120_000);

const debian = imageReference("debian");
const echo = imageReference("echo");

let docker: Docker;
let machines: DockerMachines;
let files: string;

useLoadedDocker("process", ["debian", "echo"], (started) => {
  ({ docker, machines, files } = started);
});

describe("arguments and environment", () => {
  const ARGUMENTS = [
    "two words",
    "  spaces around  ",
    "",
    "'single' \"double\" `back` \\ \\\\ \\n",
    "line one\nline two\r\n\ttab\n",
    "",
    "grüße, 世界 🚀 e\u0301",
    "$HOME $PATH $(id) ; & | > < * ? [a] {b} ~ # !",
    "--",
    "-x=--init",
    "console=ttyS0 init=/bin/sh",
    "\u0001\u001b[0m\u007f",
  ];

  const printed = (args: readonly string[]) =>
    `${args.length}\n${args.map((arg) => `${Buffer.byteLength(arg)}:${arg}\n`).join("")}`;

  test("arguments arrive exactly", async () => {
    const result = await machines.run([echo, "--print", ...ARGUMENTS]);
    expect(result.stderr).toBe("");
    expect(result.stdout).toBe(printed(ARGUMENTS));
    expect(result.exitCode).toBe(0);
  });

  test("200 KB of arguments arrive exactly", async () => {
    const long = Array.from({ length: 40 }, (_, index) =>
      `${index} ü"' \n`.repeat(500).slice(0, 2500 + index),
    );
    const args = [...ARGUMENTS, ...long, "x".repeat(100_000), "end"];
    expect(args.reduce((sum, arg) => sum + Buffer.byteLength(arg) + 1, 0)).toBeGreaterThan(200 * 1024);
    const result = await machines.run([echo, "--print", ...args]);
    expect(result.stderr).toBe("");
    expect(result.stdout === printed(args)).toBe(true);
    expect(result.exitCode).toBe(0);
  });

  test("environment values arrive exactly", async () => {
    for (const value of [
      "",
      "a=b=c",
      "line one\nline 'two'\n\"three\"\n",
      "grüße 🚀 \\ $HOME",
      " x ".repeat(20_000),
    ]) {
      const result = await machines.run(["-e", `VALUE=${value}`, echo, "--env", "VALUE"]);
      expect(result.stdout).toBe(`${Buffer.byteLength(value)}:${value}\n`);
    }
    expect((await machines.run([echo, "--env", "VALUE"])).stdout).toBe("unset\n");
  });
});

describe("streams", () => {
  test("standard output and standard error stay apart", async () => {
    const result = await machines.run([
      debian,
      "sh",
      "-c",
      "echo out; echo err >&2; echo more; echo worse >&2",
    ]);
    expect(result.stdout).toBe("out\nmore\n");
    expect(result.stderr).toBe("err\nworse\n");
  });

  test("docker logs has the application's output and nothing else; the kernel's is in a file", async () => {
    // An alert goes to the console whatever the kernel's log level is.
    const script = "echo out; echo err >&2; echo '<1>a kernel message' > /dev/kmsg; sleep 1000";
    const id = await machines.detach([
      ...(runsMachines ? ["--device", "/dev/kmsg"] : []),
      debian,
      "sh",
      "-c",
      script,
    ]);
    await machines.untilLogged(id, "err");
    if (runsMachines) {
      const state = join(docker.layout.directory, "docker-state");
      const pattern = new Bun.Glob(`**/containers/${id}/vm/kernel.log`);
      const found = [...pattern.scanSync({ cwd: state, dot: true })];
      expect(found.length).toBe(1);
      const log = join(state, found[0] ?? "");
      await until("the message is in the kernel's log", () =>
        readFileSync(log, "utf8").includes("a kernel message"),
      );
    }
    const logs = await docker.run(["logs", id]);
    expect(logs.stdout).toBe("out\n");
    if (runsMachines) expect(logs.stderr).toBe("err\n");
    await docker.succeed(["rm", "--force", id]);
  });

  test("standard input is read to its end, all of it", async () => {
    const input = "0123456789abcdef\n".repeat(100_000);
    const sum = new Bun.CryptoHasher("sha256").update(input).digest("hex");
    const result = await machines.run(["-i", debian, "sh", "-c", "sha256sum; echo done"], { stdin: input });
    expect(result.stdout).toBe(`${sum}  -\ndone\n`);
  });

  test("much output arrives whole and in order", async () => {
    const result = await machines.run([debian, "seq", "1", "300000"]);
    const expected = `${Array.from({ length: 300_000 }, (_, index) => index + 1).join("\n")}\n`;
    expect(result.stdout.length).toBe(expected.length);
    expect(result.stdout === expected).toBe(true);
  });

  test("-t gives a terminal", async () => {
    const result = await machines.run([
      "-t",
      debian,
      "sh",
      "-c",
      "test -t 0 && test -t 1 && test -t 2 && tty; echo err >&2",
    ]);
    expect(result.stderr).toBe("");
    expect(result.stdout).toMatch(/^\/dev\/(console|pts\/\d+)\r\nerr\r\n$/);
    expect(result.exitCode).toBe(0);
  });
});

describe("exit codes", () => {
  for (const code of [0, 1, 255]) {
    test(`exit ${code}`, async () => {
      expect((await machines.run([debian, "sh", "-c", `exit ${code}`])).exitCode).toBe(code);
    });
  }

  test("a child's end by a signal is seen as such inside", async () => {
    const result = await machines.run([
      debian,
      "bash",
      "-c",
      "(kill -TERM $BASHPID); echo $?; (kill -KILL $BASHPID); exit $?",
    ]);
    expect(result.stdout).toBe("143\n");
    expect(result.exitCode).toBe(137);
  });

  test("an application that ends by SIGTERM gives 143", async () => {
    // A real-time or fatal signal reaches the first process of a namespace only if it has a handler, so that this
    // one ends as shells do.
    const id = await machines.detach([
      debian,
      "bash",
      "-c",
      "trap 'exit 143' TERM; echo ready; while :; do sleep 0.1; done",
    ]);
    await machines.untilLogged(id, "ready");
    await docker.succeed(["stop", id]);
    expect(await machines.inspect(id, "{{.State.ExitCode}}")).toBe("143");
    await docker.succeed(["rm", id]);
  });

  test("a program that is not there: 127, and Docker's sentence", async () => {
    const plain = await machines.run([debian, "nosuch", "argument"]);
    expect(plain.exitCode).toBe(127);
    expect(plain.stdout).toBe("");
    expect(plain.stderr).toContain('exec: "nosuch": executable file not found in $PATH');
    const path = await machines.run([debian, "/no/such"]);
    expect(path.exitCode).toBe(127);
    expect(path.stderr).toContain('exec: "/no/such": stat /no/such: no such file or directory');
  });

  test("a program that cannot be run: 126, and Docker's sentence", async () => {
    const file = await machines.run([debian, "/etc/passwd"]);
    expect(file.exitCode).toBe(126);
    expect(file.stderr).toContain('exec: "/etc/passwd": permission denied');
    const script = join(files, "garbage");
    writeFileSync(script, "\0\0not a program\n");
    chmodSync(script, 0o755);
    const garbage = await machines.run(["-v", `${script}:/garbage:ro`, debian, "/garbage"]);
    expect(garbage.stderr).toContain("exec format error");
    expect(garbage.exitCode).not.toBe(0);
  });

  test("after a start that failed nothing is left", async () => {
    const name = "without-program";
    expect((await docker.run(["run", "--name", name, "--runtime", "urunc", debian, "nosuch"])).exitCode).toBe(
      127,
    );
    const id = await machines.inspect(name, "{{.Id}}");
    await docker.succeed(["rm", name]);
    await expectNothingLeft([id], [join(docker.layout.directory, "docker-state")]);
  });
});

describe("stopping", () => {
  const LOOP =
    "trap 'echo got TERM; exit 9' TERM; trap 'echo got USR1' USR1; echo ready; while :; do sleep 0.1; done";

  test("docker stop sends SIGTERM, and the application's answer is the exit status", async () => {
    const id = await machines.detach([debian, "bash", "-c", LOOP]);
    await machines.untilLogged(id, "ready");
    await docker.succeed(["stop", "--time", "60", id]);
    expect(await machines.inspect(id, "{{.State.ExitCode}} {{.State.Running}}")).toBe("9 false");
    expect(await docker.succeed(["logs", id])).toBe("ready\ngot TERM");
    await docker.succeed(["rm", id]);
  });

  test("docker kill -s reaches the application, which goes on", async () => {
    const id = await machines.detach([debian, "bash", "-c", LOOP]);
    await machines.untilLogged(id, "ready");
    await docker.succeed(["kill", "-s", "USR1", id]);
    await machines.untilLogged(id, "got USR1");
    expect(await machines.inspect(id, "{{.State.Running}}")).toBe("true");
    await docker.succeed(["kill", "-s", "TERM", id]);
    expect(await machines.exitCodeOf(id)).toBe(9);
    await docker.succeed(["rm", id]);
  });

  test("a signal without a handler does nothing to the first process, as in a container; SIGKILL gives 137", async () => {
    const id = await machines.detach([
      debian,
      "bash",
      "-c",
      "trap 'echo woken' USR1; echo ready; while :; do sleep 0.1; done",
    ]);
    await machines.untilLogged(id, "ready");
    await docker.succeed(["kill", "-s", "TERM", id]);
    await docker.succeed(["kill", "-s", "USR1", id]);
    await machines.untilLogged(id, "woken");
    expect(await machines.inspect(id, "{{.State.Running}}")).toBe("true");
    await docker.succeed(["kill", id]);
    expect(await machines.exitCodeOf(id)).toBe(137);
    await docker.succeed(["rm", id]);
    await expectNothingLeft([id], [join(docker.layout.directory, "docker-state")]);
  });

  test("docker stop ends one that does not listen with 137", async () => {
    const id = await machines.detach([debian, "sleep", "1000"]);
    await docker.succeed(["stop", "--time", "1", id]);
    expect(await machines.inspect(id, "{{.State.ExitCode}}")).toBe("137");
    await docker.succeed(["rm", id]);
  });

  test("docker rm -f of a running one leaves nothing", async () => {
    const id = await machines.detach([debian, "sleep", "1000"]);
    await docker.succeed(["rm", "--force", id]);
    await expectNothingLeft([id], [join(docker.layout.directory, "docker-state")]);
  });

  test("docker pause and unpause", async () => {
    const id = await machines.detach([
      debian,
      "bash",
      "-c",
      "for ((i = 0; ; i++)); do echo $i; sleep 0.1; done",
    ]);
    await machines.untilLogged(id, "1\n");
    await docker.succeed(["pause", id]);
    expect(await machines.inspect(id, "{{.State.Status}}")).toBe("paused");
    // What was on its way when the machine stopped arrives.
    await Bun.sleep(500);
    const before = await docker.succeed(["logs", id]);
    await Bun.sleep(1500);
    expect(await docker.succeed(["logs", id])).toBe(before);
    await docker.succeed(["unpause", id]);
    await until("it goes on", async () => (await docker.succeed(["logs", id])).length > before.length);
    await docker.succeed(["rm", "--force", id]);
  });

  test("docker restart boots it again with its files", async () => {
    const id = await machines.detach([
      debian,
      "bash",
      "-c",
      "echo x >> /count; wc -l < /count; trap 'exit 0' TERM; while :; do sleep 0.1; done",
    ]);
    await machines.untilLogged(id, "1\n");
    await docker.succeed(["restart", id]);
    await machines.untilLogged(id, "1\n2\n");
    await docker.succeed(["rm", "--force", id]);
  });
});
