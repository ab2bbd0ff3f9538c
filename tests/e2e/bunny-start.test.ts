import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { copyFileSync, readdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { type BunnyHome, type Caller, makeBunnyHome } from "../harness/bunny.ts";
import { until } from "../harness/command.ts";
import { ensureImage } from "../harness/images.ts";

/** `bunny start` and `bunny attach`. */

setDefaultTimeout(120_000);

const callers: Caller[] = ["root", "an ordinary user"];

describe.each(callers)("by %s", (caller) => {
  let home: BunnyHome;
  const bunny = (...args: string[]) => home.succeed(...args);

  beforeAll(async () => {
    const { archive } = await ensureImage("busybox");
    home = await makeBunnyHome(caller);
    const copy = join(home.directory, "image.tar");
    copyFileSync(archive, copy);
    await bunny("copy", "-q", `docker-archive:${copy}`, "box");
  });
  afterAll(() => home?.remove());

  test("a machine that has ended is started again, as it was at first", async () => {
    const volume = home.makeDirectory("volume");
    const script = "echo x >> /v/file; echo y >> /own; wc -l < /v/file; wc -l < /own; exit 3";
    await bunny("run", "-d", "--name", "again", "-v", `${volume}:/v`, "box", "sh", "-c", script);
    expect(await bunny("wait", "again")).toBe("3");
    expect(await bunny("start", "again")).toBe("again");
    expect(await bunny("wait", "again")).toBe("3");
    expect(await bunny("logs", "again")).toBe("1\n1\n2\n1");
    const attached = await home.run(["start", "-a", "again"]);
    expect(attached).toEqual({ exitCode: 3, stdout: "3\n1\n", stderr: "" });
    await bunny("rm", "again");
  });

  test("one of the foreground is in the background then", async () => {
    await home.run(["run", "--name", "fore", "box", "sh", "-c", "echo out; echo err >&2; exit 4"]);
    expect((await home.run(["logs", "fore"])).stderr).toContain("runs in the foreground");
    const attached = await home.run(["start", "--attach", "fore"]);
    expect(attached).toEqual({ exitCode: 4, stdout: "out\n", stderr: "err\n" });
    expect((await home.run(["logs", "fore"])).stdout).toBe("out\n");
    await bunny("rm", "fore");
  });

  test("one that runs goes on, and one that is to be removed is gone", async () => {
    const id = await bunny("run", "-d", "--name", "goes-on", "box", "sleep", "1000");
    expect(await bunny("start", "goes-on")).toBe("goes-on");
    expect(await bunny("ps", "-q", "--no-trunc")).toBe(id);
    await bunny("rm", "-f", "goes-on");
    await home.run(["run", "--rm", "--name", "removed", "box", "true"]);
    const { exitCode, stderr } = await home.run(["start", "removed"]);
    expect({ exitCode, stderr }).toEqual({ exitCode: 1, stderr: "No such container: removed\n" });
  });

  test("what cannot be started stays, with a sentence", async () => {
    const volume = home.makeDirectory("gone");
    const words = ["-d", "--name", "stays", "-v", `${volume}:/v`, "box", "sh", "-c", "exit 5"];
    await bunny("run", ...words);
    await bunny("wait", "stays");
    const refused = async (sentence: string) => {
      const { exitCode, stdout, stderr } = await home.run(["start", "stays"]);
      expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: "" });
      expect(stderr).toContain(sentence);
      await until("it is tidied up", async () => (await bunny("ps", "-a")).includes("Exited"));
    };
    renameSync(home.roots, `${home.roots}.away`);
    await refused("are gone from the cache");
    rmSync(home.roots, { recursive: true });
    renameSync(`${home.roots}.away`, home.roots);
    expect(await bunny("wait", "stays")).toBe("5");
    rmSync(volume, { recursive: true });
    await refused("no such file or directory");
    expect(await bunny("wait", "stays")).toBe("125");
    home.makeDirectory("gone");
    expect((await home.run(["start", "-a", "stays"])).exitCode).toBe(5);
    await bunny("rm", "stays");

    const server = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
    const port = server.port;
    server.stop(true);
    await bunny("run", "--name", "stays", "-p", `127.0.0.1:${port}:80`, "box", "true");
    const taken = Bun.listen({ hostname: "127.0.0.1", port, socket: { data() {} } });
    await refused("port is already allocated");
    taken.stop(true);
    expect(await bunny("start", "stays")).toBe("stays");
    expect(await bunny("wait", "stays")).toBe("0");
    await bunny("rm", "stays");
    expect(readdirSync(home.machines)).toEqual([]);
  });

  test("attach shows what comes, passes signals on and ends with the status", async () => {
    const script = 'trap "echo bye; exit 6" TERM; echo before; while :; do echo tick; sleep 0.1; done';
    await bunny("run", "-d", "--rm", "--name", "shown", "box", "sh", "-c", script);
    await until("it has begun", async () => (await bunny("logs", "shown")).includes("tick"));
    const child = Bun.spawn([...home.argv, "attach", "shown"], {
      ...{ env: home.environment, stdin: "ignore", stdout: "pipe", stderr: "ignore" },
    });
    let text = "";
    for await (const part of child.stdout as ReadableStream<Uint8Array>) {
      if (text === "") child.kill("SIGTERM");
      text += Buffer.from(part).toString();
    }
    expect(await child.exited).toBe(6);
    expect(text).toMatch(/^(tick\n)+bye\n$/);
    await until("it is gone", async () => (await bunny("ps", "-aq")) === "");
  });

  test("attach is refused where there is nothing to attach to", async () => {
    await bunny("run", "-d", "-i", "--name", "open", "box", "sleep", "1000");
    const asked = await home.run(["attach", "open"]);
    expect(asked.exitCode).toBe(1);
    expect(asked.stderr).toContain("--no-stdin");
    await bunny("kill", "open");
    const stopped = await home.run(["attach", "open"]);
    expect(stopped.stderr).toBe("You cannot attach to a stopped container, start it first\n");
    await bunny("rm", "open");
  });
});
