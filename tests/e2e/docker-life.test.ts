import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { until } from "../harness/command.ts";
import type { Docker } from "../harness/docker.ts";
import { useLoadedDocker } from "../harness/docker-for-tests.ts";
import { dockerCommand } from "../harness/docker-layout.ts";
import type { DockerMachines } from "../harness/docker-machines.ts";
import { expectNothingLeft } from "../harness/leaks.ts";
import { imageReference } from "../harness/loaded-docker.ts";

setDefaultTimeout(120_000);

const debian = imageReference("debian");
const LOOP = ["bash", "-c", "trap 'echo got TERM; exit 9' TERM; echo ready; while :; do sleep 0.1; done"];

let docker: Docker;
let machines: DockerMachines;
let files: string;

useLoadedDocker("life", ["debian", "redis"], (started) => {
  ({ docker, machines, files } = started);
});

async function remove(id: string): Promise<void> {
  await docker.succeed(["rm", "--force", "--volumes", id]);
  await expectNothingLeft([id], [join(docker.layout.directory, "docker-state")]);
}

describe("restart policies", () => {
  test("on-failure:2 starts it again twice, each time with the files of before", async () => {
    const script = "echo x >> /count; wc -l < /count; exit 3";
    const id = await machines.detach(["--restart", "on-failure:2", debian, "sh", "-c", script]);
    await until("it is given up", async () => {
      return (await machines.inspect(id, "{{.State.Status}} {{.RestartCount}}")) === "exited 2";
    });
    expect(await machines.logs(id)).toBe("1\n2\n3\n");
    expect(await machines.inspect(id, "{{.State.ExitCode}}")).toBe("3");
    await remove(id);
  });

  test("on-failure leaves what ends with 0", async () => {
    const id = await machines.detach(["--restart", "on-failure", debian, "true"]);
    expect(await docker.succeed(["wait", id])).toBe("0");
    expect(await machines.inspect(id, "{{.State.Status}} {{.RestartCount}}")).toBe("exited 0");
    await remove(id);
  });

  test("always starts again what was killed inside, and docker stop ends it", async () => {
    const id = await machines.detach([
      "--restart",
      "always",
      debian,
      "bash",
      "-c",
      "echo up; sleep 1; exit 0",
    ]);
    await until("it was started again", async () => (await machines.logs(id)).startsWith("up\nup\n"));
    await docker.succeed(["stop", "--time", "0", id]);
    expect(await machines.inspect(id, "{{.State.Running}} {{.State.Restarting}}")).toBe("false false");
    await remove(id);
  });
});

describe("files", () => {
  test("docker cp into and out of a running machine, and one that has ended", async () => {
    writeFileSync(join(files, "in"), "from the host\n");
    const id = await machines.detach([debian, ...LOOP]);
    await machines.untilLogged(id, "ready");
    await docker.succeed(["cp", join(files, "in"), `${id}:/tmp/in`]);
    expect(await docker.succeed(["exec", id, "cat", "/tmp/in"])).toBe("from the host");
    await docker.succeed(["exec", id, "sh", "-c", "mkdir /made && echo in the guest > /made/file"]);
    await docker.succeed(["cp", `${id}:/made`, join(files, "running")]);
    await docker.succeed(["stop", id]);
    await docker.succeed(["cp", `${id}:/made`, join(files, "stopped")]);
    for (const name of ["running", "stopped"])
      expect(readFileSync(join(files, name, "file"), "utf8")).toBe("in the guest\n");
    await remove(id);
  });

  test("docker commit of a running machine is an image that runs", async () => {
    const id = await machines.detach([debian, ...LOOP]);
    await machines.untilLogged(id, "ready");
    await docker.succeed(["exec", id, "sh", "-c", "echo kept > /kept; chown 1000:5 /kept"]);
    await docker.succeed(["commit", "--change", "ENV A=b", id, "committed"]);
    const script = "cat /kept; stat -c '%u:%g' /kept; echo $A";
    const words = ["run", "--rm", "--runtime", "urunc", "committed", "sh", "-c", script];
    expect(await docker.succeed(words)).toBe("kept\n1000:5\nb");
    await docker.succeed(["rmi", "committed"]);
    await remove(id);
  });
});

describe("what is told", () => {
  test("docker events come in the order in which they come of a container", async () => {
    const machine = await eventsOf("urunc");
    expect(machine).toEqual(await eventsOf("runc"));
    expect(machine).toContain("die 9");
  });

  test("docker wait gives the status to each that waits", async () => {
    const id = await machines.detach([debian, ...LOOP]);
    await machines.untilLogged(id, "ready");
    const waiting = [docker.succeed(["wait", id]), docker.succeed(["wait", id])];
    await docker.succeed(["stop", "--time", "60", id]);
    expect(await Promise.all(waiting)).toEqual(["9", "9"]);
    await remove(id);
  });

  test("docker attach: input in, both streams apart, the status", async () => {
    const id = await docker.succeed([
      ...["create", "--interactive", "--runtime", "urunc", debian],
      ...["sh", "-c", "read line; echo got $line; echo err >&2; exit 6"],
    ]);
    await docker.succeed(["start", id]);
    const client = Bun.spawn(dockerCommand(docker.layout, ["attach", id]), {
      stdin: new TextEncoder().encode("a line\n"),
      stdout: "pipe",
      stderr: "pipe",
    });
    const [out, err] = await Promise.all([
      new Response(client.stdout).text(),
      new Response(client.stderr).text(),
    ]);
    expect([out, err, await client.exited]).toEqual(["got a line\n", "err\n", 6]);
    await remove(id);
  });

  for (const driver of ["json-file", "local"]) {
    test(`docker logs of the driver ${driver}, with the rest of what it was asked for`, async () => {
      const script = "for i in 1 2 3; do echo $i; done; echo err >&2";
      const id = await machines.detach(["--log-driver", driver, debian, "sh", "-c", script]);
      await docker.succeed(["wait", id]);
      expect(await docker.run(["logs", id])).toMatchObject({ stdout: "1\n2\n3\n", stderr: "err\n" });
      expect(await docker.succeed(["logs", "--timestamps", id])).toMatch(/^(\d{4}-\S+Z [123]\n?){3}$/);
      const last = await docker.run(["logs", "--tail", "2", id]);
      expect((last.stdout + last.stderr).trimEnd().split("\n")).toHaveLength(2);
      await remove(id);
    });
  }

  test("the log driver none keeps nothing, and attached clients see all", async () => {
    const words = ["run", "--log-driver", "none", "--name", "silent", "--runtime", "urunc", debian];
    expect(await docker.succeed([...words, "echo", "hello"])).toBe("hello");
    expect((await docker.run(["logs", "silent"])).exitCode).not.toBe(0);
    await remove("silent");
  });
});

test("several containers on a network of their own find each other, as compose has them", async () => {
  await docker.succeed(["network", "create", "app"]);
  const common = ["--network", "app", "--label", "com.docker.compose.project=app"];
  const store = await machines.detach([...common, "--network-alias", "store", imageReference("redis")]);
  const script = 'exec 3<>/dev/tcp/store/6379; printf "$1\\r\\n" >&3; read -r answer <&3; echo "$answer"';
  const ask = async (id: string, question: string) =>
    (await docker.run(["exec", id, "bash", "-c", script, "ask", question])).stdout.trim();
  const web = await machines.detach([...common, "--network-alias", "web", debian, ...LOOP]);
  const plain = await machines.detach([...common, debian, ...LOOP], "runc");
  await until("the store answers", async () => (await ask(web, "PING")) === "+PONG");
  expect(await ask(web, "SET where machine")).toBe("+OK");
  expect(await ask(plain, "EXISTS where")).toBe(":1");
  // A container that is made again has another address behind the same name.
  await docker.succeed(["rm", "--force", store]);
  const holder = await machines.detach([...common, debian, ...LOOP], "runc");
  const again = await machines.detach([...common, "--network-alias", "store", imageReference("redis")]);
  await until("the new store answers", async () => (await ask(web, "PING")) === "+PONG");
  expect(await ask(web, "EXISTS where")).toBe(":0");
  for (const id of [web, plain, holder, again]) await remove(id);
  await docker.succeed(["network", "rm", "app"]);
});

/** What `docker events` says of a container's life, without what only attaching says. */
async function eventsOf(runtime: "urunc" | "runc"): Promise<string[]> {
  const format = "{{.Action}} {{.Actor.Attributes.exitCode}}";
  const id = await machines.detach([debian, ...LOOP], runtime);
  await machines.untilLogged(id, "ready");
  await docker.run(["exec", id, "sh", "-c", "exit 3"]);
  await docker.succeed(["pause", id]);
  await docker.succeed(["unpause", id]);
  await docker.succeed(["stop", "--time", "60", id]);
  await docker.succeed(["rm", id]);
  const until = String(Math.ceil(Date.now() / 1000) + 1);
  const words = ["events", "--since", "0", "--until", until, "--filter", `container=${id}`];
  const lines = (await docker.succeed([...words, "--format", format])).split("\n");
  return lines.map((line) => line.replace(/ (<no value>)?$/, ""));
}
