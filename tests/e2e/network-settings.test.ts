import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { succeed } from "../harness/command.ts";
import { type Containers, openContainers } from "../harness/containers.ts";
import { makeNetns, type Netns } from "../harness/netns.ts";

/** A container sees what is set in its network namespace, whatever the host has, and what it asks for itself. */

setDefaultTimeout(120_000);

let containers: Containers;
let netns: Netns;

beforeAll(async () => {
  containers = await openContainers("busybox");
  netns = await makeNetns();
});

afterAll(async () => {
  await netns?.remove();
  await containers?.close();
});

const FILES = {
  ipForward: "net/ipv4/ip_forward",
  ipv6Forwarding: "net/ipv6/conf/all/forwarding",
  portStart: "net/ipv4/ip_unprivileged_port_start",
  pingGroups: "net/ipv4/ping_group_range",
};

/** What a container sees in the namespace after these values were set there. */
async function seen(
  values: Record<keyof typeof FILES, string>,
  sysctl: Record<string, string> = {},
): Promise<Record<string, string | undefined>> {
  for (const [name, value] of Object.entries(values)) {
    const file = `/proc/sys/${FILES[name as keyof typeof FILES]}`;
    await succeed(netns.inside(["sh", "-c", 'echo "$1" >"$2"', "sh", value, file]));
  }
  const files = Object.values(FILES).map((file) => `/proc/sys/${file}`);
  const { id, bundle } = await containers.plan(["cat", ...files], (config) => {
    const network = config.linux.namespaces.find(({ type }) => type === "network");
    if (network !== undefined) network.path = netns.path;
    Object.assign(config.linux, { sysctl });
  });
  const { stdout } = await containers.runtime.succeed(["run", "--bundle", bundle.directory, id]);
  await containers.expectGone(id);
  const lines = stdout.trim().split("\n");
  return Object.fromEntries(Object.keys(values).map((name, at) => [name, lines[at]?.replace("\t", " ")]));
}

const OPEN = { ipForward: "1", ipv6Forwarding: "1", portStart: "80", pingGroups: "0 100" };
const CLOSED = { ipForward: "0", ipv6Forwarding: "0", portStart: "1024", pingGroups: "1 0" };

test("what the namespace forwards and allows is seen", async () => {
  expect(await seen(OPEN)).toEqual(OPEN);
});

test("what it does not is not seen", async () => {
  expect(await seen(CLOSED)).toEqual(CLOSED);
});

test("what the container asks for prevails", async () => {
  const asked = { "net.ipv4.ip_forward": "0", "net.ipv4.ping_group_range": "7 9" };
  expect(await seen(OPEN, asked)).toEqual({ ...OPEN, ipForward: "0", pingGroups: "7 9" });
});
