import { UruncError } from "../errors.ts";
import { parseAddress } from "../network/address.ts";
import type { PublishedPort } from "../network/published.ts";

/** A port as `--publish` has it; `hostPort` 0: any that is free. */
export type WantedPort = PublishedPort;

/** The most ports of one `--publish` with a range, and of a machine. */
const MOST = 256;

/**
 * Parses `[[IP:]HOSTPORT:]PORT[/tcp|/udp]`; both may be ranges (`8000-8002`) of one length.
 *
 * @throws UruncError `usage`, in Docker's words
 */
export function parsePublish(text: string): WantedPort[] {
  const [, ports = "", protocol = "tcp"] = /^([^/]*)(?:\/(.*))?$/.exec(text) ?? [];
  if (protocol !== "tcp" && protocol !== "udp") {
    throw new UruncError("usage", `invalid proto: ${protocol}: ports are published by tcp or udp`);
  }
  const words = ports.split(":");
  if (words.length > 3) {
    throw new UruncError(
      "usage",
      `invalid publish ${text}: ports are published on IPv4 addresses, not on IPv6: use 127.0.0.1 for ::1, 0.0.0.0 for ::`,
    );
  }
  const guest = words.at(-1) as string;
  const host = words.length > 1 ? (words.at(-2) as string) : "";
  const hostAddress = words.length > 2 && words[0] !== "" ? (words[0] as string) : "0.0.0.0";
  if (parseAddress(4, hostAddress) === undefined) {
    throw new UruncError("usage", `invalid IP address: ${hostAddress}`);
  }
  const guests = range(guest, `invalid containerPort: ${guest}`);
  const hosts = host === "" ? guests.map(() => 0) : range(host, `invalid hostPort: ${host}`);
  if (hosts.length !== guests.length) {
    throw new UruncError(
      "usage",
      `invalid ranges specified for container and host Ports: ${guest} and ${host}`,
    );
  }
  return guests.map((guestPort, index) => ({
    protocol,
    hostAddress,
    hostPort: hosts[index] as number,
    guestPort,
  }));
}

/** All of a machine's. */
export function parseAllPublished(texts: readonly string[]): WantedPort[] {
  const all = texts.flatMap(parsePublish);
  if (all.length > MOST)
    throw new UruncError("usage", `at most ${MOST} ports can be published, not ${all.length}`);
  return all;
}

function range(text: string, sentence: string): number[] {
  const [, first, last = first] = /^([0-9]{1,5})(?:-([0-9]{1,5}))?$/.exec(text) ?? [];
  const [from, to] = [Number(first), Number(last)];
  if (!(from >= 1 && to >= from && to <= 65_535) || to - from >= MOST)
    throw new UruncError("usage", sentence);
  return Array.from({ length: to - from + 1 }, (_, index) => from + index);
}

/** As in a listing: `0.0.0.0:8080->80/tcp`. */
export function shownPorts(ports: readonly PublishedPort[]): string {
  return ports
    .map(
      ({ protocol, hostAddress, hostPort, guestPort }) =>
        `${hostAddress}:${hostPort}->${guestPort}/${protocol}`,
    )
    .join(", ");
}

/**
 * Finds free ports where any will do, and looks whether the others are: the monitor would only say that it cannot have
 * them. Somebody may still be faster than the monitor.
 *
 * @throws UruncError `network`, in Docker's words
 */
export function claimPorts(ports: readonly WantedPort[]): Promise<PublishedPort[]> {
  return Promise.all(ports.map(async (port) => ({ ...port, hostPort: await claim(port) })));
}

async function claim({ protocol, hostAddress, hostPort }: WantedPort): Promise<number> {
  try {
    if (protocol === "udp") {
      const socket = await Bun.udpSocket({ hostname: hostAddress, port: hostPort });
      const { port } = socket;
      socket.close();
      return port;
    }
    const socket = { data() {} };
    const server = Bun.listen({ hostname: hostAddress, port: hostPort, socket });
    const { port } = server;
    server.stop(true);
    return port;
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    const why =
      code === "EADDRINUSE"
        ? "port is already allocated"
        : code === "EACCES"
          ? "only root may have a port below 1024"
          : (cause as Error).message;
    throw new UruncError("network", `Bind for ${hostAddress}:${hostPort} failed: ${why}`, { cause });
  }
}
