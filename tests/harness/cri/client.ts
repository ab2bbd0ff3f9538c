import { connect } from "node:net";
import type { DescMethodUnary, MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import { type RpcClient, rpcClient } from "../../../src/frontend/grpc.ts";
import { ImageService, RuntimeService } from "./cri_pb.ts";

const METHODS = { ...RuntimeService.method, ...ImageService.method };

type Methods = typeof METHODS;

/** What a kubelet calls of containerd: each method of `cri.proto`'s services, by its name. */
export type Cri = {
  readonly [Name in keyof Methods]: Methods[Name] extends DescMethodUnary<infer Input, infer Output>
    ? (request: MessageInitShape<Input>) => Promise<MessageShape<Output>>
    : never;
} & { close(): void };

/**
 * A client of the CRI over containerd's socket. A connection that was lost, as by containerd's end, is made anew by the next call.
 */
export function openCri(socket: string): Cri {
  let client: RpcClient | undefined;
  const call = async (method: DescMethodUnary, request: MessageInitShape<DescMethodUnary["input"]>) => {
    client ??= await connected(socket);
    try {
      return await client.call(method, request);
    } catch (error) {
      const lost = error instanceof Error && error.message.startsWith("containerd does not answer");
      if (lost) {
        client.close();
        client = undefined;
      }
      throw error;
    }
  };
  const methods = Object.entries(METHODS).map(([name, method]) => [
    name,
    (request: MessageInitShape<DescMethodUnary["input"]>) => call(method, request),
  ]);
  return { ...Object.fromEntries(methods), close: () => client?.close() } as Cri;
}

function connected(socket: string): Promise<RpcClient> {
  return new Promise((resolve, reject) => {
    const connection = connect(socket);
    connection.once("error", reject);
    connection.once("connect", () => resolve(rpcClient(connection, "containerd")));
  });
}
