import { connect } from "node:http2";
import type { Duplex } from "node:stream";
import {
  create,
  type DescMessage,
  type DescMethodUnary,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import { type Status, StatusSchema } from "./protocol/gateway_pb.ts";

/** Codes of gRPC that are used here. */
export const GRPC = { ok: 0, invalidArgument: 3, notFound: 5, internal: 13, unavailable: 14 } as const;

/** A call that failed: what the other side said, or that it did not answer. */
export class RpcError extends Error {
  readonly status: Omit<Status, "$typeName">;

  constructor(code: number, message: string, details: Status["details"] = []) {
    super(message);
    this.name = "RpcError";
    this.status = { code, message, details };
  }
}

/** A client of gRPC over one connection. */
export interface RpcClient {
  /** @throws RpcError */
  call<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageInitShape<I>,
  ): Promise<MessageShape<O>>;
  close(): void;
}

/** Bytes before each message: whether it is compressed, and its length. */
const PREFIX = 5;
/** Bytes of an answer; BuildKit's own limit is 16 MiB. */
const MAXIMUM = 1 << 26;

/**
 * Calls of one message each over a connection that is there (gRPC over HTTP/2, PROTOCOL-HTTP2.md). The events of
 * `node:http2` are used as they come: what reads such a stream as an iterator misses the end of most in Bun.
 *
 * @param connection where HTTP/2 is served, and nothing else
 * @param peer the other side's name, in errors
 */
export function rpcClient(connection: Duplex, peer = "BuildKit"): RpcClient {
  // Only its name: there is one connection.
  const session = connect("http://localhost", { createConnection: () => connection });
  let failure: Error | undefined;
  session.on("error", (error) => {
    failure = error;
  });

  return {
    call(method, request) {
      const { promise, resolve, reject } = Promise.withResolvers<MessageShape<typeof method.output>>();
      const lost = (why: string) => new RpcError(GRPC.unavailable, `${peer} does not answer: ${why}`);
      if (session.destroyed) return Promise.reject(lost(failure?.message ?? "the connection is closed"));
      const stream = session.request({
        ":method": "POST",
        ":path": `/${method.parent.typeName}/${method.name}`,
        "content-type": "application/grpc",
        te: "trailers",
      });
      const parts: Uint8Array[] = [];
      let size = 0;
      let end: Trailers = {};
      stream.on("response", (headers) => {
        // A failure without an answer has everything in its headers.
        if (headers["grpc-status"] !== undefined) end = headers as Trailers;
      });
      stream.on("trailers", (trailers) => {
        end = trailers as Trailers;
      });
      stream.on("data", (part: Uint8Array) => {
        size += part.length;
        parts.push(part);
        if (size > MAXIMUM) stream.destroy(new Error(`it sends more than ${MAXIMUM} bytes`));
      });
      stream.on("error", (error) => {
        failure ??= error;
      });
      stream.on("close", () => {
        try {
          if (end["grpc-status"] === undefined) throw lost(failure?.message ?? "the connection was lost");
          const error = errorOf(end);
          if (error !== undefined) throw error;
          resolve(fromBinary(method.output, messageOf(Buffer.concat(parts))));
        } catch (error) {
          reject(error);
        }
      });
      const message = toBinary(method.input, create(method.input, request));
      const prefix = Buffer.alloc(PREFIX);
      prefix.writeUInt32BE(message.length, 1);
      stream.end(Buffer.concat([prefix, message]));
      return promise;
    },
    close() {
      session.destroy();
      connection.destroy();
    },
  };
}

type Trailers = Readonly<Record<string, string | undefined>>;

/** What an answer's trailers say has failed. */
export function errorOf(trailers: Trailers): RpcError | undefined {
  const code = Number(trailers["grpc-status"]);
  if (code === GRPC.ok) return undefined;
  const message = percentDecoded(trailers["grpc-message"] ?? "");
  const whole = trailers["grpc-status-details-bin"];
  const details = whole === undefined ? [] : fromBinary(StatusSchema, Buffer.from(whole, "base64")).details;
  return new RpcError(code, message, details);
}

/** What is no escape stands for itself. */
function percentDecoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** @throws RpcError for what is not one message, as it is */
export function messageOf(bytes: Buffer): Uint8Array {
  const isOne = bytes.length >= PREFIX && bytes[0] === 0 && bytes.readUInt32BE(1) === bytes.length - PREFIX;
  if (isOne) return bytes.subarray(PREFIX);
  throw new RpcError(GRPC.internal, `BuildKit's answer of ${bytes.length} bytes is not one message`);
}
