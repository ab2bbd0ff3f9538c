import { expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
import { command, until } from "../harness/command.ts";
import type { Docker } from "../harness/docker.ts";
import { useLoadedDocker } from "../harness/docker-for-tests.ts";
import { imageReference } from "../harness/loaded-docker.ts";

setDefaultTimeout(120_000);

const FETCH = join(import.meta.dir, "../harness/fetch-text.ts");
const REDIS = join(import.meta.dir, "../harness/redis-client.ts");

interface Server {
  readonly id: string;
  readonly address: string;
  readonly address6: string;
}

let docker: Docker;
let redis: Server;
let nginx: Server;

useLoadedDocker("servers", ["redis", "nginx", "debian"], async (started) => {
  ({ docker } = started);
  redis = await serve(imageReference("redis"));
  nginx = await serve(imageReference("nginx"));
});

async function serve(image: string): Promise<Server> {
  const id = await docker.succeed(["run", "--detach", "--runtime", "urunc", image]);
  const format = "{{.NetworkSettings.IPAddress}} {{.NetworkSettings.GlobalIPv6Address}}";
  const [address = "", address6 = ""] = (await docker.succeed(["inspect", "--format", format, id])).split(
    " ",
  );
  expect(address).not.toBe("");
  expect(address6).not.toBe("");
  return { id, address, address6 };
}

/** Sends commands over one connection; gives the answers. */
async function ask(host: string, commands: string[][]): Promise<unknown[]> {
  const result = await command(docker.inNetwork([process.execPath, REDIS, host, "6379"]), {
    stdin: JSON.stringify(commands),
    timeoutMs: 60_000,
  });
  if (result.exitCode !== 0) throw new Error(`redis at ${host}: ${result.stderr}`);
  return JSON.parse(result.stdout) as unknown[];
}

/** A server listens a moment after its start. */
function untilServes<T>(what: string, question: () => Promise<T>): Promise<T> {
  let reason = "";
  return until(what, async () => {
    try {
      return await question();
    } catch (error) {
      reason = String(error);
      return undefined;
    }
  }).catch((error) => {
    throw new Error(`${error}: ${reason}`);
  });
}

async function fetchText(url: string): Promise<string> {
  const result = await command(docker.inNetwork([process.execPath, FETCH, url]), { timeoutMs: 30_000 });
  if (result.exitCode !== 0) throw new Error(`${url}: ${result.stdout}${result.stderr}`);
  return result.stdout;
}

function client(args: readonly string[]) {
  return docker.run(["run", "--rm", "--runtime", "urunc", imageReference("debian"), ...args]);
}

test("redis answers over Docker's bridge", async () => {
  const ping = () => ask(redis.address, [["PING"], ["ECHO", "grüße\r\n"]]);
  expect(await untilServes("redis", ping)).toEqual(["PONG", "grüße\r\n"]);
  const answers = await ask(redis.address, [
    ["SET", "key", "value"],
    ["GET", "key"],
    ["GET", "missing"],
    ["INCR", "counter"],
    ["INCR", "counter"],
    ["NOSUCH"],
  ]);
  expect(answers.slice(0, 5)).toEqual(["OK", "value", null, 1, 2]);
  expect(answers[5]).toHaveProperty("error");
});

test("redis answers over IPv6, with the same data", async () => {
  await untilServes("redis", () => ask(redis.address, [["PING"]]));
  await ask(redis.address, [["SET", "by", "IPv4"]]);
  expect(await untilServes("redis by IPv6", () => ask(redis.address6, [["GET", "by"]]))).toEqual(["IPv4"]);
});

test("values of a megabyte arrive whole, both ways", async () => {
  await untilServes("redis", () => ask(redis.address, [["PING"]]));
  const value = Array.from({ length: 70_000 }, (_, index) => `${index}:ü${index * 7919}`).join(" ");
  expect(Buffer.byteLength(value)).toBeGreaterThan(1024 * 1024);
  for (const address of [redis.address, redis.address6]) {
    const answers = await ask(address, [
      ["SET", "big", value],
      ["STRLEN", "big"],
      ["GET", "big"],
    ]);
    expect(answers.slice(0, 2)).toEqual(["OK", Buffer.byteLength(value)]);
    expect(answers[2] === value).toBe(true);
  }
});

test("redis sees the same peer address as the bridge", async () => {
  const [list] = await untilServes("redis", () => ask(redis.address, [["CLIENT", "LIST"]]));
  expect(String(list)).toContain(`addr=${docker.layout.bridgeAddress.replace(/\/.*/, "")}:`);
  expect(String(list)).toContain(`laddr=${redis.address}:6379`);
});

test("nginx serves over Docker's bridge, by IPv4 and IPv6", async () => {
  for (const host of [nginx.address, `[${nginx.address6}]`]) {
    expect(await untilServes("nginx", () => fetchText(`http://${host}/`))).toContain("Welcome to nginx");
  }
  await expect(fetchText(`http://${nginx.address}/nosuch`)).rejects.toThrow("404 Not Found");
});

test("nginx logs its requests to docker logs", async () => {
  await untilServes("nginx", () => fetchText(`http://${nginx.address}/?marked`));
  await until("the request is logged", async () =>
    (await docker.succeed(["logs", nginx.id])).includes('"GET /?marked HTTP/1.1" 200'),
  );
});

test("a machine reaches another machine over the bridge, by IPv4 and IPv6", async () => {
  await untilServes("nginx", () => fetchText(`http://${nginx.address}/`));
  for (const host of [nginx.address, `[${nginx.address6}]`]) {
    const result = await client(["curl", "-g", "-sS", "--max-time", "20", `http://${host}/`]);
    expect(result.stderr).toBe("");
    expect(result.stdout).toContain("Welcome to nginx");
  }
});

test("a machine and a container of the engine reach each other", async () => {
  await untilServes("nginx", () => fetchText(`http://${nginx.address}/`));
  const url = `http://${nginx.address}/`;
  const plain = ["run", "--rm", "--runtime", "runc", imageReference("debian")];
  expect(await docker.succeed([...plain, "curl", "-sS", "--max-time", "20", url])).toContain(
    "Welcome to nginx",
  );
});

test("docker stop ends the servers by their own signals, at once and cleanly", async () => {
  await untilServes("redis", () => ask(redis.address, [["PING"]]));
  await untilServes("nginx", () => fetchText(`http://${nginx.address}/`));
  for (const { id } of [redis, nginx]) {
    await docker.succeed(["stop", "--time", "60", id]);
    expect(await docker.succeed(["inspect", "--format", "{{.State.ExitCode}}", id])).toBe("0");
  }
  expect(await docker.succeed(["logs", redis.id])).toContain("Redis is now ready to exit, bye bye...");
});
