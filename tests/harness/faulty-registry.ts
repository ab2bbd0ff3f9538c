import { createServer, type IncomingMessage, request, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** What goes wrong with a request. */
export type Failure = {
  /** How often; default always. */
  times?: number;
} & (
  | { kind: "status"; status: number; headers?: Record<string, string> }
  /** The connection breaks behind so many bytes of the body. */
  | { kind: "cut"; after: number }
  /** The body ends in order behind so many bytes, as if that were all. */
  | { kind: "truncated"; at: number }
  /** The byte there is another one. */
  | { kind: "damaged"; at: number }
  /** The whole body is sent, whatever part was asked for. */
  | { kind: "no-ranges" }
  /** Another part is sent than was asked for. */
  | { kind: "other-range" }
);

/** A failure of the requests whose method and path it matches, as `GET /v2/test/app/blobs/`. */
export type Fault = Failure & { on: RegExp };

/** A request that came, and what of its answer was sent. */
export interface Seen {
  line: string;
  range?: string;
  status: number;
  bytes: number;
}

/** A line to a registry on which things go wrong as they are told to. */
export interface FaultyRegistry {
  readonly host: string;
  /** In the order in which they came. */
  readonly seen: readonly Seen[];
  /** What goes wrong from now on. */
  fail(...faults: Fault[]): void;
  stop(): void;
}

/** @param port of a registry on the loopback address */
export async function startFaultyRegistry(port: number): Promise<FaultyRegistry> {
  const seen: Seen[] = [];
  let faults: (Fault & { left: number })[] = [];
  const server = createServer((incoming, answer) => {
    const line = `${incoming.method} ${incoming.url}`;
    const { range } = incoming.headers;
    const entry: Seen = { line, ...(range === undefined ? {} : { range }), status: 0, bytes: 0 };
    seen.push(entry);
    const fault = faults.find(({ on, left }) => left > 0 && on.test(line));
    if (fault !== undefined) fault.left--;
    if (fault?.kind === "status") {
      entry.status = fault.status;
      answer.writeHead(fault.status, fault.headers).end();
      return;
    }
    pass(incoming, answer, port, fault, entry);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    fail(...next) {
      faults = next.map((fault) => ({ ...fault, left: fault.times ?? Number.POSITIVE_INFINITY }));
    },
    stop() {
      server.closeAllConnections();
      server.close();
    },
  };
}

function pass(
  incoming: IncomingMessage,
  answer: ServerResponse,
  port: number,
  fault: Fault | undefined,
  entry: Seen,
): void {
  const headers = { ...incoming.headers };
  if (fault?.kind === "no-ranges") delete headers.range;
  if (fault?.kind === "other-range") headers.range = "bytes=0-";
  const { method = "GET", url = "/" } = incoming;
  const upstream = request({ host: "127.0.0.1", port, method, path: url, headers }, (reply) => {
    entry.status = reply.statusCode ?? 0;
    const length = Number(reply.headers["content-length"] ?? 0);
    const given = { ...reply.headers };
    if (fault?.kind === "truncated") given["content-length"] = String(Math.min(fault.at, length));
    answer.writeHead(entry.status, given);
    const most = endOf(fault);
    reply.on("data", (data: Buffer) => {
      const before = entry.bytes;
      let part = data.subarray(0, Math.max(most - before, 0));
      if (fault?.kind === "damaged" && fault.at >= before && fault.at < before + part.length) {
        part = Buffer.from(part);
        part[fault.at - before] = (part[fault.at - before] as number) ^ 1;
      }
      entry.bytes += part.length;
      if (part.length > 0 && !answer.write(part)) {
        reply.pause();
        answer.once("drain", () => reply.resume());
      }
      if (entry.bytes < most || length <= most) return;
      reply.destroy();
      if (fault?.kind === "cut") setTimeout(() => incoming.socket.destroy(), 50);
      else answer.end();
    });
    reply.on("end", () => answer.end());
  });
  upstream.on("error", () => answer.destroy());
  incoming.pipe(upstream);
}

/** Bytes of the body that are sent. */
function endOf(fault: Fault | undefined): number {
  if (fault?.kind === "cut") return fault.after;
  return fault?.kind === "truncated" ? fault.at : Number.POSITIVE_INFINITY;
}
