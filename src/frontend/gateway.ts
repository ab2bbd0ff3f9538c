import type { Duplex } from "node:stream";
import { create } from "@bufbuild/protobuf";
import { PlacedError } from "../bunnyfile/position.ts";
import { UruncError } from "../errors.ts";
import type { Platform } from "../image/spec/platform.ts";
import { GRPC, RpcError, rpcClient } from "./grpc.ts";
import { definitionOf, type Output, outputOf } from "./llb.ts";
import { AnySchema, LLBBridge, type Result as ProtocolResult, type Status } from "./protocol/gateway_pb.ts";
import type { Platform as ProtocolPlatform } from "./protocol/llb_pb.ts";

/** A file system that BuildKit makes when it is looked at, or returned. */
export interface Solved {
  id: string;
  /** What it is made of, to build on. */
  output(): Output;
}

/** What a build gives: a file system, or one for each of several platforms, and what is said of them. */
export interface Result {
  ref: Solved | ReadonlyMap<string, Solved> | undefined;
  metadata: Readonly<Record<string, Uint8Array>>;
}

/** A build file as it is shown. */
export interface BuildText {
  name: string;
  text: string;
}

/** What BuildKit does for a frontend. All may throw an error that {@link Gateway.fail} hands back. */
export interface Gateway {
  /** Where programs of a build are run. */
  readonly platform: Platform;
  solve(output: Output): Promise<Solved>;
  /** Has another frontend solve the build. */
  forward(frontend: string, options: Readonly<Record<string, string>>): Promise<Result>;
  /** Undefined where it is not there. */
  statFile(solved: Solved, path: string): Promise<{ size: number; isDirectory: boolean } | undefined>;
  /** @param most bytes of the file's start */
  readFile(solved: Solved, path: string, most: number): Promise<Uint8Array>;
  /**
   * An image's configuration, and the digest of what has it, unless the image is one of the daemon's own.
   *
   * @param mode `default`, `pull` or `local`
   * @param step what that is called for people who watch the build
   * @throws UruncError `image-missing`
   */
  imageConfig(
    name: string,
    platform: Platform,
    mode: string,
    step: string,
  ): Promise<{ digest: string | undefined; config: Uint8Array }>;
  /** Ends the build with its result. */
  finish(result: Result): Promise<void>;
  /**
   * Ends the build with the sentence of an error.
   *
   * @param file the build file, as far as it was read: clients show the line that is wrong
   */
  fail(error: unknown, file: BuildText | undefined): Promise<void>;
  close(): void;
}

/** Go's fs.ModeDir. */
const DIRECTORY = 0x8000_0000;
/** The forms of results that are used here; BuildKit has had them since 0.5. */
const NEEDED = ["return", "returnmap", "statfile", "proto.refarray"];

/**
 * Speaks BuildKit's gateway API, of which a frontend is the client.
 *
 * @param connection where BuildKit serves HTTP/2, and nothing else
 * @throws UruncError `build` for a BuildKit that is too old
 */
export async function openGateway(connection: Duplex): Promise<Gateway> {
  const client = rpcClient(connection);
  const { method } = LLBBridge;
  const { frontendApiCaps, workers } = await client.call(method.ping, {});
  const lacking = NEEDED.find((id) => !frontendApiCaps.some((cap) => cap.id === id && cap.enabled));
  if (lacking !== undefined) {
    throw new UruncError(
      "build",
      `this BuildKit lacks ${lacking}: use version 0.8 or Docker 20.10, or newer`,
    );
  }

  const solved = (id: string, definition?: Parameters<typeof outputOf>[0]): Solved => ({
    id,
    output() {
      if (definition !== undefined) return outputOf(definition);
      throw new UruncError(
        "build",
        "this BuildKit does not say what it has built, so that nothing can be added",
      );
    },
  });
  const request = { allowResultReturn: true, allowResultArrayRef: true } as const;

  return {
    platform: platformOf(workers[0]?.platforms[0]),
    async solve(output) {
      const definition = definitionOf(output);
      const { result } = await client.call(method.solve, { ...request, definition });
      if (result?.result.case !== "ref") throw new UruncError("build", "BuildKit gave no result for a step");
      return { id: result.result.value.id, output: () => output };
    },
    async forward(frontend, frontendOpt) {
      const { result } = await client.call(method.solve, { ...request, frontend, frontendOpt });
      return resultOf(result, solved);
    },
    async statFile({ id }, path) {
      try {
        const { stat } = await client.call(method.statFile, { ref: id, path });
        if (stat === undefined) return undefined;
        return { size: Number(stat.size), isDirectory: (stat.mode & DIRECTORY) !== 0 };
      } catch (error) {
        if (isMissing(error)) return undefined;
        throw error;
      }
    },
    async readFile({ id }, filePath, most) {
      const range = { offset: 0n, length: BigInt(most) };
      return (await client.call(method.readFile, { ref: id, filePath, range })).data;
    },
    async imageConfig(ref, platform, resolveMode, logName) {
      const asked = { ref, platform: protocolPlatform(platform), resolveMode, logName };
      const { digest, config } = await client.call(method.resolveImageConfig, asked).catch((error) => {
        if (!(error instanceof RpcError)) throw error;
        throw new UruncError("image-missing", `the image ${ref} cannot be had: ${error.message}`, {
          cause: error,
        });
      });
      return { digest: digest === "" ? undefined : digest, config };
    },
    async finish({ ref, metadata }) {
      const of = ({ id }: Solved) => ({ id });
      const result =
        ref === undefined
          ? ({ case: "ref", value: { id: "" } } as const)
          : "id" in ref
            ? ({ case: "ref", value: of(ref) } as const)
            : ({
                case: "refs",
                value: { refs: Object.fromEntries([...ref].map(([platform, one]) => [platform, of(one)])) },
              } as const);
      await client.call(method.return, { result: { result, metadata } });
    },
    async fail(error, file) {
      await client.call(method.return, { error: statusOf(error, file) });
    },
    close() {
      client.close();
    },
  };
}

function resultOf(
  result: ProtocolResult | undefined,
  solved: (id: string, definition?: Parameters<typeof outputOf>[0]) => Solved,
): Result {
  const metadata = result?.metadata ?? {};
  const made = result?.result;
  if (made?.case === "refs") {
    const refs = Object.entries(made.value.refs).map(([id, ref]) => [id, solved(ref.id, ref.def)] as const);
    return { ref: new Map(refs), metadata };
  }
  // An image without files has none.
  if (made?.case !== "ref" || made.value.id === "") return { ref: undefined, metadata };
  return { ref: solved(made.value.id, made.value.def), metadata };
}

/** BuildKit gives no code of its own for files that are not there. */
function isMissing(error: unknown): boolean {
  return (
    error instanceof RpcError &&
    (error.status.code === GRPC.notFound ||
      /no such file or directory|file does not exist|not a directory/.test(error.message))
  );
}

/** How BuildKit calls a place in a build file, solver/errdefs/errdefs.proto, among an error's details. */
const SOURCE_DETAIL = "github.com/moby/buildkit/errdefs.Source+json";

/** What BuildKit itself said goes back whole: it has its own places in a Containerfile, for one. */
export function statusOf(error: unknown, file: BuildText | undefined): Omit<Status, "$typeName"> {
  if (error instanceof RpcError) return error.status;
  const message = error instanceof Error ? error.message : String(error);
  const code = error instanceof UruncError ? GRPC.invalidArgument : GRPC.internal;
  if (!(error instanceof PlacedError) || file === undefined) return { code, message, details: [] };
  const { line, column } = error.at;
  const place = { line, character: column - 1 };
  const shown = {
    info: { filename: file.name, data: Buffer.from(file.text).toString("base64") },
    ranges: [{ start: place, end: place }],
  };
  const detail = create(AnySchema, { typeUrl: SOURCE_DETAIL, value: Buffer.from(JSON.stringify(shown)) });
  return { code, message, details: [detail] };
}

function platformOf(platform: ProtocolPlatform | undefined): Platform {
  if (platform === undefined)
    throw new UruncError("build", "BuildKit has no worker that builds for a platform");
  const { os, architecture, variant } = platform;
  return { os, architecture, ...(variant === "" ? {} : { variant }) };
}

function protocolPlatform({ os, architecture, variant }: Platform) {
  return { os, architecture, ...(variant === undefined ? {} : { variant }) };
}
