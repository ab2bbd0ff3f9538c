import { afterAll, afterEach, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { copyFileSync } from "node:fs";
import { basename, join } from "node:path";
import { command, succeed, until } from "../harness/command.ts";
import { type Containers, openContainers } from "../harness/containers.ts";
import { makeNetns, type Netns } from "../harness/netns.ts";
import { buildNetworkTool } from "../harness/network-tool.ts";
import { readSeenNetwork, SEEN_NETWORK_COMMAND, type SeenNetwork } from "../harness/seen-network.ts";

/** A machine in a namespace that an administrator has made has what is there, and nothing is left of it. */

setDefaultTimeout(120_000);

let containers: Containers;
let tool: string;
let netns: Netns;
/** Processes at the other end. */
const helpers: Bun.Subprocess[] = [];

beforeAll(async () => {
  containers = await openContainers("debian");
  tool = join(containers.runtime.directory, "network-tool");
  await buildNetworkTool(tool);
});

afterEach(async () => {
  for (const helper of helpers.splice(0)) {
    helper.kill("SIGKILL");
    await helper.exited;
  }
  await netns?.remove();
});

afterAll(async () => {
  await containers?.close();
});

/** A namespace and its other end, each as `ip -batch` says. Addresses are there at once. */
async function makeNetwork(inside: string, atPeer: string | ((netns: Netns) => string)): Promise<void> {
  netns = await makeNetns("bare");
  const noDetection =
    "for scope in all default eth0; do echo 0 > /proc/sys/net/ipv6/conf/$scope/accept_dad; done";
  for (const [at, batch] of [
    [netns.atPeer, typeof atPeer === "string" ? atPeer : atPeer(netns)],
    [netns.inside, inside],
  ] as const) {
    await succeed(at(["sh", "-c", noDetection]));
    await succeed(at(["ip", "-batch", "-"]), { stdin: `link set lo up\nlink set eth0 up\n${batch}` });
  }
}

async function plan(args: readonly string[]) {
  const container = await containers.plan(args, (config) => {
    const network = config.linux.namespaces.find(({ type }) => type === "network");
    if (network !== undefined) network.path = netns.path;
    for (const set of Object.values(config.process.capabilities)) set.push("CAP_NET_RAW");
  });
  copyFileSync(tool, join(container.bundle.rootfs, "usr/bin/network-tool"));
  return container;
}

/** A machine in the namespace that answers at port 7000. */
async function start(): Promise<string> {
  const container = await plan(["network-tool", "echo", "7000"]);
  const call = await containers.create(container);
  await containers.runtime.succeed(["start", container.id]);
  await until("the machine answers", () => call.output().stdout.includes("ready"));
  return container.id;
}

async function inside(id: string, ...argv: readonly string[]): Promise<string> {
  return (await containers.runtime.succeed(["exec", id, ...argv])).stdout;
}

async function seenBy(id: string): Promise<SeenNetwork> {
  return readSeenNetwork(await inside(id, "sh", "-c", SEEN_NETWORK_COMMAND));
}

async function seenInNamespace(): Promise<SeenNetwork> {
  return readSeenNetwork(await succeed(netns.inside(["sh", "-c", SEEN_NETWORK_COMMAND])));
}

async function remove(id: string): Promise<void> {
  await containers.runtime.succeed(["delete", "--force", id]);
  await containers.expectGone(id);
  expect(await netns.additions()).toEqual([]);
}

/** Starts a helper at the other end, which says when it is ready. */
async function help(...argv: readonly string[]): Promise<void> {
  const child = Bun.spawn(netns.atPeer(argv), { stdin: "ignore", stdout: "pipe", stderr: "inherit" });
  helpers.push(child);
  const first = await child.stdout.getReader().read();
  expect(new TextDecoder().decode(first.value)).toBe("ready\n");
}

function atPeer(...argv: readonly string[]): Promise<string> {
  return succeed(netns.atPeer(argv));
}

describe("IPv6 without IPv4", () => {
  test("addresses and routes are there at once, and carry both ways", async () => {
    await makeNetwork(
      "address add fd00:7::2/64 dev eth0\n" +
        "route add default via fd00:7::1\n" +
        "route add fd00:8::/64 via fd00:7::9 metric 77\n",
      "address add fd00:7::1/64 dev eth0\naddress add fd00:9::1/128 dev lo\n",
    );
    await help(tool, "echo", "7000");
    const expected = await seenInNamespace();
    const first = await plan(["network-tool", "ask", "tcp", "fd00:9::1", "7000", "at once"]);
    const ran = await containers.runtime.succeed(["run", "--bundle", first.bundle.directory, first.id]);
    expect(ran.stdout).toBe("fd00:7::2 at once\n");
    const id = await start();
    expect(await seenBy(id)).toEqual(expected);
    for (const way of ["tcp", "udp"]) {
      expect(await atPeer(tool, "ask", way, "fd00:7::2", "7000", "in")).toBe("fd00:7::1 in\n");
      expect(await inside(id, "network-tool", "ask", way, "fd00:7::1", "7000", "out")).toBe(
        "fd00:7::2 out\n",
      );
    }
    await atPeer("chroot", first.bundle.rootfs, "ping", "-c", "1", "-W", "20", "fd00:7::2");
    await inside(id, "ping", "-c", "1", "-W", "20", "fd00:9::1");
    await remove(id);
  });

  test("an address of the link alone is the namespace's, which need not be that of the MAC", async () => {
    await makeNetwork(
      "link set eth0 addrgenmode none down\nlink set eth0 up\naddress add fe80::77/64 dev eth0\n",
      "link set eth0 addrgenmode none down\nlink set eth0 up\naddress add fe80::1/64 dev eth0\n",
    );
    const id = await start();
    expect(await seenBy(id)).toEqual(await seenInNamespace());
    await inside(id, "ping", "-c", "1", "-W", "20", "fe80::1%eth0");
    expect(await atPeer(tool, "ask", "tcp", "fe80::77%eth0", "7000", "in")).toBe("fe80::1%eth0 in\n");
    await remove(id);
  });

  test("what a router has advertised is carried, and its further advertisements reach the machine", async () => {
    await makeNetwork("", "address add fd00:a::1/64 dev eth0\n");
    const advertise = (prefix: string) =>
      helpers.push(Bun.spawn(netns.atPeer([tool, "advertise", "eth0", prefix])));
    advertise("fd00:a::");
    const expected = await until("the router is known", async () => {
      const seen = await seenInNamespace();
      return (
        seen.interfaces[0]?.includes(" fd00:a::") &&
        seen.routes.some((route) => route.includes("default")) &&
        seen
      );
    });
    const id = await start();
    expect(await seenBy(id)).toEqual(expected);
    await inside(id, "ping", "-c", "1", "-W", "20", "fd00:a::1");
    advertise("fd00:b::");
    await until("the machine's own kernel hears the router", async () =>
      (await seenBy(id)).interfaces[0]?.includes(" fd00:b::"),
    );
    await remove(id);
  });
});

describe("several interfaces", () => {
  test("with names, MTUs and routes of their own, those that lead nowhere among them", async () => {
    const dead = ["blackhole", "unreachable", "prohibit", "throw"].flatMap((type, index) => [
      `route add ${type} 10.6.${index}.0/24`,
      `route add ${type} fd00:6:${index}::/64 metric ${100 + index}`,
    ]);
    await makeNetwork(
      [
        "address add 10.77.0.2/24 dev eth0",
        "address add fd00:7::2/64 dev eth0",
        "link add office-0 mtu 1400 type veth peer name other0",
        "link set other0 up",
        "link set office-0 up",
        "address add 10.78.0.2/24 dev office-0 noprefixroute",
        "route add 10.78.0.0/25 dev office-0 metric 5",
        "route add default via 10.77.0.1 metric 10",
        "route add default via 10.78.0.1 metric 20",
        "route add 10.1.0.0/16 via 10.77.0.9 src 10.77.0.2",
        "route add 10.2.0.0/16 via 192.0.2.1 dev office-0 onlink",
        "route add fd00:1::/48 via fd00:7::9 metric 7",
        ...dead,
        "",
      ].join("\n"),
      "address add 10.77.0.1/24 dev eth0\naddress add 10.6.0.1/32 dev lo\n",
    );
    const expected = await seenInNamespace();
    // A veth whose other end is in the namespace too is an interface like any other.
    expect(expected.interfaces.map((line) => line.split(" ")[0])).toEqual(["eth0", "office-0", "other0"]);
    expect(
      expected.routes.filter((route) => /^(blackhole|unreachable|prohibit|throw) /.test(route)),
    ).toHaveLength(8);
    const id = await start();
    expect(await seenBy(id)).toEqual(expected);
    expect(await atPeer(tool, "ask", "udp", "10.77.0.2", "7000", "in")).toBe("10.77.0.1 in\n");
    for (const [address, error] of [
      ["10.6.0.1", /Invalid argument/],
      ["10.6.1.1", /unreachable/],
      ["10.6.2.1", /Permission denied/],
      ["fd00:6:1::1", /unreachable/],
      ["fd00:6:2::1", /Permission denied/],
    ] as const) {
      const asked = await containers.runtime.call([
        "exec",
        id,
        "network-tool",
        "ask",
        "udp",
        address,
        "7000",
        "x",
      ]);
      expect([address, asked.stderr]).toEqual([address, expect.stringMatching(error)]);
    }
    await remove(id);
  });

  test("a route that leads to what a machine cannot have is refused, and nothing is left", async () => {
    await makeNetwork(
      "address add 10.77.0.2/24 dev eth0\nroute add 10.9.0.0/16 dev lo\n",
      "address add 10.77.0.1/24 dev eth0\n",
    );
    const { id, bundle } = await plan(["true"]);
    const ran = await containers.runtime.call(["run", "--bundle", bundle.directory, id]);
    expect(ran.exitCode).not.toBe(0);
    expect(ran.stderr).toContain(
      "the route to 10.9.0.0/16 leads to lo, which cannot be given to a virtual machine",
    );
    await containers.expectGone(id);
    expect(await netns.additions()).toEqual([]);
  });
});

/** In the place of the namespace's interface, one on top of a wire whose other end has 10.79.0.1 and fd00:79::1. */
async function makeOnTop(kind: string): Promise<void> {
  await makeNetwork("link set eth0 down\n", ({ path }) =>
    [
      "link add parent type veth peer name wire",
      "link set parent up",
      "link set wire up",
      "address add 10.79.0.1/24 dev wire",
      "address add fd00:79::1/64 dev wire nodad",
      `link add link parent name top netns ${basename(path)} type ${kind}`,
      "",
    ].join("\n"),
  );
  await succeed(netns.inside(["ip", "-batch", "-"]), {
    stdin:
      "link set top up\naddress add 10.79.0.2/24 dev top\naddress add fd00:79::2/64 dev top nodad\n" +
      "route add default via 10.79.0.1\n",
  });
}

async function carriesBothWays(): Promise<void> {
  await help(tool, "echo", "7000");
  const expected = await seenInNamespace();
  const id = await start();
  expect(await seenBy(id)).toEqual(expected);
  for (const [host, peer] of [
    ["10.79.0.2", "10.79.0.1"],
    ["fd00:79::2", "fd00:79::1"],
  ] as const) {
    expect(await atPeer(tool, "ask", "tcp", host, "7000", "in")).toBe(`${peer} in\n`);
    expect(await inside(id, "network-tool", "ask", "udp", peer, "7000", "out")).toBe(`${host} out\n`);
  }
  // The namespace has not joined these groups: an interface of this kind would leave them out.
  for (const group of ["224.0.0.251", "ff02::fb"]) {
    const heard = containers.runtime.begin(["exec", id, "network-tool", "listen", group, "5353", "top"]);
    await until("the machine listens", () => heard.output().stdout.includes("ready"), 20_000);
    await atPeer(tool, "tell", group, "5353", "wire", `to ${group}`);
    expect((await heard.ended).stdout).toBe(`ready\nto ${group}\n`);
  }
  await remove(id);
  expect(await succeed(netns.inside(["ip", "link", "show", "top"]))).not.toContain("ALLMULTI");
}

async function exists(kind: string): Promise<boolean> {
  const name = "urt-probe";
  await succeed(["ip", "netns", "add", name]);
  try {
    await succeed(["ip", "-n", name, "link", "add", "one", "type", "veth", "peer", "name", "two"]);
    const made = await command(["ip", "-n", name, "link", "add", "link", "one", "name", "top", "type", kind]);
    return made.exitCode === 0;
  } finally {
    await succeed(["ip", "netns", "delete", name]);
  }
}

const hasIpvlan = await exists("ipvlan");

describe("interfaces on top of another one", () => {
  test("macvlan", async () => {
    await makeOnTop("macvlan mode bridge");
    await carriesBothWays();
  });

  test.if(hasIpvlan)("ipvlan in its l2 mode, whose MAC is that of what it is on", async () => {
    await makeOnTop("ipvlan mode l2");
    await carriesBothWays();
  });

  test.if(hasIpvlan)("ipvlan in its l3 mode is refused with a sentence", async () => {
    await makeOnTop("ipvlan mode l3");
    const { id, bundle } = await plan(["true"]);
    const ran = await containers.runtime.call(["run", "--bundle", bundle.directory, id]);
    expect(ran.stderr).toContain("use ipvlan in its l2 mode");
    await containers.expectGone(id);
  });
});
