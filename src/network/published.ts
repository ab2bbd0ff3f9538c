import { UruncError } from "../errors.ts";
import { parseAddress } from "./address.ts";

/** A port of the host's that leads to one of the guest's, through the monitor's own network stack. */
export interface PublishedPort {
  readonly protocol: "tcp" | "udp";
  /** IPv4; `0.0.0.0`: all of the host's. */
  readonly hostAddress: string;
  readonly hostPort: number;
  readonly guestPort: number;
}

/**
 * The bundle's annotation by which its maker publishes ports of a container that has no network namespace of its own.
 * Other networks are the client's business, who publishes ports itself.
 */
export const PUBLISH = "com.urunc.network.publish";

/** The annotation's value. */
export function formatPublished(ports: readonly PublishedPort[]): string {
  return ports
    .map(({ protocol, hostAddress, hostPort, guestPort }) =>
      [protocol, hostAddress, hostPort, guestPort].join(":"),
    )
    .join(",");
}

/**
 * Parses the annotation: `PROTOCOL:ADDRESS:HOSTPORT:GUESTPORT`, separated by commas.
 *
 * @throws UruncError `bundle-invalid`
 */
export function parsePublished(annotations: Record<string, string> | undefined): PublishedPort[] {
  const value = annotations?.[PUBLISH];
  if (value === undefined || value === "") return [];
  return value.split(",").map((text) => {
    const [, protocol, hostAddress = "", host, guest] =
      /^(tcp|udp):([0-9.]+):([0-9]{1,5}):([0-9]{1,5})$/.exec(text) ?? [];
    const [hostPort, guestPort] = [Number(host), Number(guest)];
    if (
      protocol === undefined ||
      parseAddress(4, hostAddress) === undefined ||
      !isPort(hostPort) ||
      !isPort(guestPort)
    ) {
      throw new UruncError(
        "bundle-invalid",
        `the annotation ${PUBLISH} has ${JSON.stringify(text)}: it must be PROTOCOL:ADDRESS:HOSTPORT:GUESTPORT`,
      );
    }
    return { protocol: protocol as "tcp" | "udp", hostAddress, hostPort, guestPort };
  });
}

function isPort(port: number): boolean {
  return port >= 1 && port <= 65_535;
}
