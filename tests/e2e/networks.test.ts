import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
import { succeed, until } from "../harness/command.ts";
import type { Docker } from "../harness/docker.ts";
import { useLoadedDocker } from "../harness/docker-for-tests.ts";
import { dockerCommand } from "../harness/docker-layout.ts";
import { imageReference } from "../harness/loaded-docker.ts";
import { buildNetworkTool } from "../harness/network-tool.ts";
import { readSeenNetwork, SEEN_NETWORK_COMMAND } from "../harness/seen-network.ts";

/**
 * Machines and containers of runc's on networks of Docker's own: `machine` and `plain` are on three, `other` is a second
 * machine on the first of them. Each answers at port 7000 by TCP and UDP.
 */

setDefaultTimeout(120_000);

const debian = imageReference("debian");
const MAC = "02:42:ac:1c:29:77";
const ADDRESS = "172.28.41.77";
const ADDRESS6 = "fd00:41::77";
/** Of the host on the first network. */
const HOST = "172.28.41.1";
const HOST6 = "fd00:41::1";

let docker: Docker;
let tool: string;

useLoadedDocker("networks", ["debian"], async (started) => {
  ({ docker } = started);
  tool = join(docker.layout.directory, "network-tool");
  await buildNetworkTool(tool);
  const create = (name: string, ...options: readonly string[]) =>
    docker.succeed(["network", "create", ...options, name]);
  const mtu = (bytes: number) => ["-o", `com.docker.network.driver.mtu=${bytes}`];
  await create("dual", "--ipv6", "--subnet", "fd00:41::/64", "--subnet", "172.28.41.0/24");
  await create("large", "--subnet", "172.28.42.0/24", ...mtu(9000));
  await create("small", "--ipv6", "--subnet", "fd00:43::/64", "--subnet", "172.28.43.0/24", ...mtu(1280));
  // What a macvlan is on: one end of a wire, whose other end is the host's.
  const host = "link add parent type veth peer name wire\nlink set parent up\nlink set wire up\n";
  await succeed(docker.inNetwork(["ip", "-batch", "-"]), {
    stdin: `${host}address add 172.28.44.1/24 dev wire\n`,
  });
  await create("top", "-d", "macvlan", "-o", "parent=parent", "--subnet", "172.28.44.0/24");

  const asked = ["--ip", ADDRESS, "--ip6", ADDRESS6, "--mac-address", MAC];
  const published = ["-p", "8000:7000/tcp", "-p", "8000:7000/udp"];
  await Promise.all([
    serve("urunc", "machine", [...asked, ...published, "--network", "dual"], ["large", "small"]),
    serve("runc", "plain", ["--network", "dual"], ["large", "small"]),
    serve("urunc", "other", ["--network", "dual"]),
    serve("urunc", "on-top", ["--network", "top", "--ip", "172.28.44.7"]),
    serve("runc", "plain-on-top", ["--network", "top", "--ip", "172.28.44.8"]),
  ]);
});

const volume = () => ["-v", `${tool}:/usr/bin/network-tool:ro`];

/** A container that is put on further networks before it starts. */
async function serve(
  runtime: "urunc" | "runc",
  name: string,
  options: readonly string[],
  networks: readonly string[] = [],
): Promise<void> {
  const words = ["create", "--runtime", runtime, "--name", name, ...volume(), ...options];
  await docker.succeed([...words, debian, "network-tool", "echo", "7000"]);
  for (const network of networks) await docker.succeed(["network", "connect", network, name]);
  await docker.succeed(["start", name]);
  await until(`${name} answers`, async () => (await docker.run(["logs", name])).stdout.includes("ready"));
}

/** Runs it in a container, or on the host; it must succeed. Gives its standard output without the last newline. */
async function at(place: string, ...argv: readonly string[]): Promise<string> {
  if (place !== "host") return docker.succeed(["exec", place, ...argv]);
  return (await onHost(...argv)).trimEnd();
}

function onHost(...argv: readonly string[]): Promise<string> {
  return succeed(docker.inNetwork(argv));
}

function ask(place: string, way: string, host: string, port = "7000"): Promise<string> {
  return at(place, place === "host" ? tool : "network-tool", "ask", way, host, port, `${way} to ${host}`);
}

async function addressOf(name: string, network: string, which = "IPAddress"): Promise<string> {
  const format = `{{(index .NetworkSettings.Networks "${network}").${which}}}`;
  return docker.succeed(["inspect", "--format", format, name]);
}

const address6Of = (name: string, network: string) => addressOf(name, network, "GlobalIPv6Address");

test("a machine has every interface of its namespace, with its name, MAC, MTU, addresses and routes", async () => {
  const pid = await docker.succeed(["inspect", "--format", "{{.State.Pid}}", "machine"]);
  const inNamespace = await succeed([
    "nsenter",
    `--net=/proc/${pid}/ns/net`,
    "sh",
    "-c",
    SEEN_NETWORK_COMMAND,
  ]);
  const expected = readSeenNetwork(inNamespace);
  expect(expected.interfaces.map((line) => line.split(" ")[0])).toEqual(["eth0", "eth1", "eth2"]);
  expect(readSeenNetwork(await at("machine", "sh", "-c", SEEN_NETWORK_COMMAND))).toEqual(expected);
});

test("the address, the IPv6 address and the MAC are those that were asked for", async () => {
  const { interfaces } = readSeenNetwork(await at("machine", "sh", "-c", SEEN_NETWORK_COMMAND));
  const [eth0 = ""] = interfaces;
  expect(eth0).toContain(`eth0 ${MAC} 1500 `);
  expect(eth0).toContain(` ${ADDRESS}/24`);
  expect(eth0).toContain(` ${ADDRESS6}/64`);
});

describe("on the first network, by IPv4 and IPv6, by TCP and UDP", () => {
  const WAYS = ["tcp", "udp"] as const;

  test("the host and a machine reach each other", async () => {
    const server = Bun.spawn(docker.inNetwork([tool, "echo", "7000"]), { stdout: "pipe" });
    try {
      await server.stdout.getReader().read();
      for (const way of WAYS) {
        expect(await ask("host", way, ADDRESS)).toBe(`${HOST} ${way} to ${ADDRESS}`);
        expect(await ask("host", way, ADDRESS6)).toBe(`${HOST6} ${way} to ${ADDRESS6}`);
        expect(await ask("machine", way, HOST)).toBe(`${ADDRESS} ${way} to ${HOST}`);
        expect(await ask("machine", way, HOST6)).toBe(`${ADDRESS6} ${way} to ${HOST6}`);
      }
    } finally {
      server.kill("SIGKILL");
      await server.exited;
    }
  });

  test.each([
    ["machine", "plain"],
    ["plain", "machine"],
    ["machine", "other"],
    ["other", "machine"],
  ])("%s reaches %s", async (from, to) => {
    for (const find of [addressOf, address6Of]) {
      const [own, peer] = await Promise.all([find(from, "dual"), find(to, "dual")]);
      for (const way of WAYS) expect(await ask(from, way, peer)).toBe(`${own} ${way} to ${peer}`);
      await at(from, "ping", "-c", "1", "-W", "20", peer);
    }
  });

  test("the host's pings reach a machine, and a machine's the host", async () => {
    const onHosts = ["run", "--rm", "--runtime", "runc", "--network", "host", debian];
    for (const address of [ADDRESS, ADDRESS6]) {
      await docker.succeed([...onHosts, "ping", "-c", "1", "-W", "20", address]);
    }
    for (const address of [HOST, HOST6]) await at("machine", "ping", "-c", "1", "-W", "20", address);
  });

  test("a machine uses its addresses at once", async () => {
    const peer = await address6Of("plain", "dual");
    const words = ["run", "--rm", "--runtime", "urunc", "--network", "dual", ...volume(), debian];
    expect(await docker.succeed([...words, "network-tool", "ask", "tcp", peer, "7000", "at once"])).toMatch(
      /^fd00:41::[0-9a-f:]+ at once$/,
    );
  });
});

describe("a published port", () => {
  test.each(["tcp", "udp"])("leads to the machine from every address of the host, by %s", async (way) => {
    const { bridgeAddress } = docker.layout;
    for (const host of ["127.0.0.1", bridgeAddress.replace(/\/.*/, ""), "::1"]) {
      expect(await ask("host", way, host, "8000")).toMatch(new RegExp(` ${way} to ${host}$`));
    }
  });

  test.each(["plain", "other", "machine"])("is reached by %s on the host's address", async (from) => {
    for (const way of ["tcp", "udp"]) {
      expect(await ask(from, way, HOST, "8000")).toMatch(new RegExp(` ${way} to ${HOST}$`));
    }
  });
});

describe("packets that must not be fragmented", () => {
  /** Bytes of the headers before a ping's own. */
  const HEADERS = { 4: 28, 6: 48 };

  function ping(from: string, to: string, size: number) {
    return docker.run(["exec", from, "ping", "-M", "do", "-c", "1", "-W", "20", "-s", String(size), to]);
  }

  test.each([
    ["large", 9000, 4],
    ["small", 1280, 4],
    ["small", 1280, 6],
  ] as const)("pass on %s up to its MTU of %d, by IPv%d", async (network, mtu, family) => {
    const find = family === 4 ? addressOf : address6Of;
    for (const [from, to] of [
      ["machine", "plain"],
      ["plain", "machine"],
    ] as const) {
      const peer = await find(to, network);
      const most = mtu - HEADERS[family];
      expect((await ping(from, peer, most)).stdout).toContain(" 0% packet loss");
      const beyond = await ping(from, peer, most + 1);
      expect(beyond.exitCode).not.toBe(0);
      expect(beyond.stdout + beyond.stderr).toContain("essage too long");
    }
  });
});

describe("what goes to all", () => {
  /** Has one container listen, by a verb of the tool's, and then another place tell; gives what was heard. */
  async function heard(
    listener: string,
    verb: readonly string[],
    tell: () => Promise<string>,
  ): Promise<string> {
    const words = ["exec", listener, "network-tool", ...verb];
    const listening = Bun.spawn(dockerCommand(docker.layout, words), { stdout: "pipe", stderr: "inherit" });
    const output = listening.stdout.getReader();
    const next = async () => new TextDecoder().decode((await output.read()).value);
    expect(await next()).toBe("ready\n");
    await tell();
    const said = await next();
    expect(await listening.exited).toBe(0);
    return said;
  }

  test.each(["224.0.0.251", "ff02::fb", "255.255.255.255"])("to %s is heard by both kinds", async (group) => {
    for (const [listener, teller] of [
      ["machine", "plain"],
      ["plain", "machine"],
      ["machine", "other"],
    ] as const) {
      const tell = () => at(teller, "network-tool", "tell", group, "5353", "eth0", `to ${group}`);
      expect(await heard(listener, ["listen", group, "5353", "eth0"], tell)).toBe(`to ${group}\n`);
    }
  });

  test("a macvlan passes on what the machine has joined", async () => {
    const tell = () => onHost(tool, "tell", "224.0.0.251", "5353", "wire", "to the group");
    expect(await heard("on-top", ["listen", "224.0.0.251", "5353", "eth0"], tell)).toBe("to the group\n");
  });

  test("frames of a VLAN keep their tag", async () => {
    for (const [listener, teller] of [
      ["machine", "plain"],
      ["plain", "machine"],
    ] as const) {
      const tell = () => at(teller, "network-tool", "tag", "eth0", "77", `from ${teller}`);
      expect(await heard(listener, ["tagged", "eth0"], tell)).toBe(`77 from ${teller}\n`);
    }
  });
});

test("two hundred connections at once have their answers, in both directions", async () => {
  for (const [from, to] of [
    ["plain", "machine"],
    ["machine", "plain"],
    ["machine", "other"],
  ] as const) {
    const peer = await addressOf(to, "dual");
    expect(await at(from, "network-tool", "many", peer, "7000", "200")).toBe("200 answered");
  }
});

test("on a macvlan a machine, a container and what is on the wire reach each other", async () => {
  for (const [from, to, own] of [
    ["host", "172.28.44.7", "172.28.44.1"],
    ["plain-on-top", "172.28.44.7", "172.28.44.8"],
    ["on-top", "172.28.44.8", "172.28.44.7"],
  ] as const) {
    expect(await ask(from, "tcp", to)).toBe(`${own} tcp to ${to}`);
  }
  await at("on-top", "ping", "-c", "1", "-W", "20", "172.28.44.1");
});

test("a network that is connected to a running machine gives it no interface, and disturbs nothing", async () => {
  await docker.succeed(["network", "connect", "large", "other"]);
  const { interfaces } = readSeenNetwork(await at("other", "sh", "-c", SEEN_NETWORK_COMMAND));
  expect(interfaces.map((line) => line.split(" ")[0])).toEqual(["eth0"]);
  expect(await ask("plain", "tcp", await addressOf("other", "dual"))).toContain("tcp to ");
  // From its next start on it has it.
  await docker.succeed(["restart", "--time", "0", "other"]);
  const restarted = readSeenNetwork(await at("other", "sh", "-c", SEEN_NETWORK_COMMAND));
  expect(restarted.interfaces.map((line) => line.split(" ")[0])).toEqual(["eth0", "eth1"]);
});
