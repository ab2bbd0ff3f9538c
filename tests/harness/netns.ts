import { randomBytes } from "node:crypto";
import { command, succeed } from "./command.ts";

/** A network namespace with one end of a veth pair in it, as a network plugin makes it for a container. */
export interface Netns {
  /** For `linux.namespaces[].path`. */
  readonly path: string;
  /** The container's interface. */
  readonly interface: string;
  readonly address: string;
  /** The address of the other end, in a namespace of its own. */
  readonly peerAddress: string;
  /** The command line that runs `argv` inside. */
  inside(argv: readonly string[]): string[];
  /** The command line that runs `argv` at the other end. */
  atPeer(argv: readonly string[]): string[];
  /** What a runtime has added: taps, and queueing disciplines that redirect. Empty when there is nothing. */
  additions(): Promise<string[]>;
  remove(): Promise<void>;
}

/** Makes one, up and with an address, unless that is for the test to do. Root only. */
export async function makeNetns(setUp: "with addresses" | "bare" = "with addresses"): Promise<Netns> {
  const name = `urt-${randomBytes(4).toString("hex")}`;
  const peer = `${name}-p`;
  const inside = (argv: readonly string[]) => ["nsenter", `--net=/run/netns/${name}`, ...argv];
  const atPeer = (argv: readonly string[]) => ["nsenter", `--net=/run/netns/${peer}`, ...argv];
  const remove = async () => {
    for (const each of [name, peer]) await command(["ip", "netns", "delete", each]);
  };
  try {
    for (const each of [name, peer]) await succeed(["ip", "netns", "add", each]);
    await succeed([
      "ip",
      "-n",
      name,
      "link",
      "add",
      "eth0",
      "type",
      "veth",
      "peer",
      "name",
      "eth0",
      "netns",
      peer,
    ]);
    if (setUp === "with addresses") {
      for (const [each, address] of [
        [name, "10.77.0.2/24"],
        [peer, "10.77.0.1/24"],
      ] as const) {
        await succeed(["ip", "-n", each, "address", "add", address, "dev", "eth0"]);
        for (const link of ["lo", "eth0"]) await succeed(["ip", "-n", each, "link", "set", link, "up"]);
      }
    }
  } catch (error) {
    await remove();
    throw error;
  }
  return {
    path: `/run/netns/${name}`,
    interface: "eth0",
    address: "10.77.0.2",
    peerAddress: "10.77.0.1",
    inside,
    atPeer,
    async additions() {
      const links = await succeed(inside(["ip", "-o", "link", "show"]));
      const disciplines = await succeed(inside(["tc", "qdisc", "show"]));
      return [
        ...links.split("\n").filter((line) => line.includes("urunc:") || /^\d+: utap/.test(line)),
        ...disciplines.split("\n").filter((line) => line.includes("ingress")),
      ];
    },
    remove,
  };
}
