import { join } from "node:path";
import { until } from "../tests/harness/command.ts";
import type { Docker } from "../tests/harness/docker.ts";
import { imageReference, startLoadedDocker } from "../tests/harness/loaded-docker.ts";
import { buildNetworkTool } from "../tests/harness/network-tool.ts";
import { type Figures, inTurn, report, type Subject } from "./measure.ts";

const RUNTIMES = ["runc", "urunc"] as const;
type RuntimeName = (typeof RUNTIMES)[number];

/** What a machine has of a container's figure, each the ratio of two medians. */
export interface NetworkRatios {
  /** Bytes per second by TCP that a client sends to it. */
  readonly received: number;
  /** And that it sends. */
  readonly sent: number;
  /** Datagrams of 1000 bytes per second that it sends back, with 16 on their way at once. */
  readonly datagrams: number;
  /** Requests per second of 20 clients at once to a redis. */
  readonly requests: number;
}

const STREAM = "7001";
const ECHO = "7002";
/** Seconds of one run. */
const SECONDS = "1";

/**
 * A machine and a container of runc's as the one end, a container of runc's as the other, all on the same bridge of
 * Docker's; in turn.
 */
export async function network(rounds: number): Promise<NetworkRatios> {
  const docker = await startLoadedDocker("bench-network", ["debian", "redis"]);
  try {
    const tool = join(docker.layout.directory, "network-tool");
    await buildNetworkTool(tool);
    const ends = await openEnds(docker, tool);
    const measure = async (title: string, unit: string, run: Measurement) => {
      const subjects = RUNTIMES.map((name): Subject => ({ name, run: () => run(ends[name], ends.client) }));
      const rows = await inTurn(subjects, rounds);
      report(`network-${title.replaceAll(" ", "-")}`, `Network: ${title}`, rows, {}, unit);
      return ratio(rows);
    };
    return {
      received: await measure("TCP received", "MB/s", received),
      sent: await measure("TCP sent", "MB/s", sent),
      datagrams: await measure("datagrams of 1000 bytes there and back", "per second", datagrams),
      requests: await measure("redis GET by 20 clients", "per second", requests),
    };
  } finally {
    await docker.stop();
  }
}

function ratio([first, second]: readonly Figures[]): number {
  return (second?.median ?? Number.NaN) / (first?.median ?? Number.NaN);
}

interface End {
  readonly docker: Docker;
  /** The container that takes and sends bytes. */
  readonly name: string;
  readonly address: string;
  /** Of the redis of the same runtime. */
  readonly redisAddress: string;
}

/** Gives a rate. */
type Measurement = (end: End, client: End) => Promise<number>;

async function openEnds(docker: Docker, tool: string): Promise<Record<RuntimeName | "client", End>> {
  const open = async (runtime: RuntimeName, name: string): Promise<End> => {
    const common = ["run", "--detach", "--runtime", runtime];
    const redis = `redis-${name}`;
    await docker.succeed([...common, "--name", redis, imageReference("redis")]);
    const serve = `network-tool sink ${STREAM} & exec network-tool echo ${ECHO}`;
    const volume = ["-v", `${tool}:/usr/bin/network-tool:ro`];
    await docker.succeed([
      ...[...common, "--name", name, ...volume],
      ...[imageReference("debian"), "sh", "-c", serve],
    ]);
    await until(
      `both servers of ${name} are ready`,
      async () => (await docker.run(["logs", name])).stdout.match(/ready/g)?.length === 2,
    );
    await until(`${redis} is ready`, async () =>
      (await docker.run(["logs", redis])).stdout.includes("Ready to accept connections"),
    );
    return {
      docker,
      name,
      address: await addressOf(docker, name),
      redisAddress: await addressOf(docker, redis),
    };
  };
  return {
    runc: await open("runc", "container"),
    urunc: await open("urunc", "machine"),
    client: await open("runc", "client"),
  };
}

function addressOf(docker: Docker, name: string): Promise<string> {
  return docker.succeed(["inspect", "--format", "{{.NetworkSettings.IPAddress}}", name]);
}

async function stream(from: End, to: End): Promise<number> {
  const words = ["exec", from.name, "network-tool", "stream", to.address, STREAM, SECONDS];
  return Number(await from.docker.succeed(words)) / 1_000_000;
}

const received: Measurement = (end, client) => stream(client, end);
const sent: Measurement = (end, client) => stream(end, client);

const datagrams: Measurement = async ({ address }, { docker, name }) => {
  const words = ["exec", name, "network-tool", "rally", address, ECHO, SECONDS, "1000"];
  return Number(await docker.succeed(words));
};

/** By redis-benchmark, whose second line of CSV has the rate. */
const requests: Measurement = async (end, { docker, name }) => {
  const words = ["-h", end.redisAddress, "-c", "20", "-n", "5000", "-t", "get", "--csv"];
  const output = await docker.succeed(["exec", `redis-${name}`, "redis-benchmark", ...words]);
  const rate = /^"GET","([0-9.]+)"/m.exec(output)?.[1];
  if (rate === undefined) throw new Error(`redis-benchmark printed ${output}`);
  return Number(rate);
};
