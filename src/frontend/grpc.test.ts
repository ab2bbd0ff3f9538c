import { afterAll, afterEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Http2Server, type ServerHttp2Stream } from "node:http2";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, toBinary } from "@bufbuild/protobuf";
import { openGateway } from "./gateway.ts";
import { errorOf, messageOf, type RpcClient, RpcError, rpcClient } from "./grpc.ts";
import {
  LLBBridge,
  PongResponseSchema,
  ReadFileRequestSchema,
  ReadFileResponseSchema,
  StatusSchema,
} from "./protocol/gateway_pb.ts";

const { readFile, ping } = LLBBridge.method;
const directory = mkdtempSync(join(tmpdir(), "urunc-grpc-"));
let server: Http2Server | undefined;
let client: RpcClient | undefined;

afterEach(() => {
  client?.close();
  server?.close();
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** What a server does with a call, once it has all of it. */
type Handler = (stream: ServerHttp2Stream, path: string, message: Buffer) => void;

/** A connection to an HTTP/2 server. */
async function connectionTo(handler: Handler) {
  const socket = join(mkdtempSync(join(directory, "server-")), "socket");
  const made = createServer();
  server = made;
  made.on("stream", (given, headers) => {
    const stream = given as ServerHttp2Stream;
    const parts: Buffer[] = [];
    stream.on("error", () => {});
    stream.on("data", (part: Buffer) => parts.push(part));
    stream.on("end", () => handler(stream, String(headers[":path"]), Buffer.concat(parts)));
  });
  await new Promise<void>((resolve) => void made.listen(socket, resolve));
  return connect(socket);
}

function answer(stream: ServerHttp2Stream, message: Uint8Array, trailers: Record<string, string>): void {
  stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
  stream.on("wantTrailers", () => stream.sendTrailers(trailers));
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(message.length, 1);
  stream.end(Buffer.concat([prefix, message]));
}

const failureOf = (promise: Promise<unknown>) =>
  promise.then(
    () => undefined,
    (error: unknown) => error as RpcError,
  );

describe("a call", () => {
  test("brings its message, and the answer back, many times, of any size", async () => {
    client = rpcClient(
      await connectionTo((stream, path, message) => {
        expect(path).toBe("/moby.buildkit.v1.frontend.LLBBridge/ReadFile");
        expect(message.readUInt32BE(1)).toBe(message.length - 5);
        const request = message.subarray(5);
        const data = Buffer.alloc(request.length * 1000, "x");
        answer(stream, toBinary(ReadFileResponseSchema, create(ReadFileResponseSchema, { data })), {
          "grpc-status": "0",
        });
      }),
    );
    for (let length = 0; length < 3000; length += 100) {
      const request = { ref: "r".repeat(length) };
      const size = toBinary(ReadFileRequestSchema, create(ReadFileRequestSchema, request)).length;
      expect((await client.call(readFile, request)).data).toHaveLength(size * 1000);
    }
  });

  test("that fails says what the other side said, with its details", async () => {
    const details = [{ typeUrl: "github.com/moby/buildkit/errdefs.Source+json", value: Buffer.from("{}") }];
    const whole = toBinary(StatusSchema, create(StatusSchema, { code: 2, message: "x", details }));
    client = rpcClient(
      await connectionTo((stream) => {
        stream.respond(
          {
            ":status": 200,
            "grpc-status": "2",
            "grpc-message": "no such f%C3%AFle",
            "grpc-status-details-bin": Buffer.from(whole).toString("base64").replace(/=+$/, ""),
          },
          { endStream: true },
        );
      }),
    );
    const error = await failureOf(client.call(readFile, { ref: "1" }));
    expect(error).toBeInstanceOf(RpcError);
    expect(error?.message).toBe("no such fïle");
    expect(error?.status).toMatchObject({ code: 2, details });
  });

  test("ends with a sentence where the connection does", async () => {
    const connection = await connectionTo(() => connection.destroy());
    client = rpcClient(connection);
    const error = await failureOf(client.call(ping, {}));
    expect(error?.message).toStartWith("BuildKit does not answer");
    expect((await failureOf(client.call(ping, {})))?.message).toStartWith("BuildKit does not answer");
  });

  test("whose answer is no message is refused", async () => {
    client = rpcClient(
      await connectionTo((stream) => {
        stream.respond({ ":status": 200 }, { waitForTrailers: true });
        stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
        stream.end(Buffer.from("no frame"));
      }),
    );
    expect((await failureOf(client.call(ping, {})))?.message).toContain("is not one message");
  });
});

test("a BuildKit that lacks what is needed is told from one that is new enough", async () => {
  const connection = await connectionTo((stream) => {
    const caps = ["solve.base", "return", "returnmap"].map((id) => ({ id, enabled: true }));
    answer(stream, toBinary(PongResponseSchema, create(PongResponseSchema, { frontendApiCaps: caps })), {
      "grpc-status": "0",
    });
  });
  const error = await failureOf(openGateway(connection));
  connection.destroy();
  expect(error?.message).toBe("this BuildKit lacks statfile: use version 0.8 or Docker 20.10, or newer");
});

test("answers and trailers are read to the byte", () => {
  expect(messageOf(Buffer.from([0, 0, 0, 0, 2, 7, 8]))).toEqual(Buffer.from([7, 8]));
  for (const wrong of [[], [0, 0, 0, 0], [1, 0, 0, 0, 0], [0, 0, 0, 0, 1], [0, 0, 0, 0, 0, 0]]) {
    expect(() => messageOf(Buffer.from(wrong))).toThrow("is not one message");
  }
  expect(errorOf({ "grpc-status": "0" })).toBeUndefined();
  expect(errorOf({ "grpc-status": "5", "grpc-message": "50%" })?.message).toBe("50%");
});
