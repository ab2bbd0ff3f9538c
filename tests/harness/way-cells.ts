import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { hostAcceleration } from "../../src/monitor/acceleration.ts";
import { changeConfig } from "./bundle.ts";
import { command, until } from "./command.ts";
import { processesInCgroup, processName } from "./leaks.ts";
import { makeNetns, type Netns } from "./netns.ts";
import type { Call } from "./runtime.ts";
import {
  BY_RUST,
  buildExerciser,
  openRoots,
  planByWay,
  type Roots,
  rustFileServer,
  unmountRoot,
  WAYS,
  type Way,
  type WayContainer,
} from "./ways.ts";

const CLIENT = join(import.meta.dir, "redis-client.ts");
const REDIS = ["redis-server", "--bind", "0.0.0.0", "--protected-mode", "no", "--save", "", "--dir", "/work"];

/** How a monitor's process is called, and which ways it has (`docs/monitors.md`). */
const MONITORS: readonly { monitor: string; program: string; has(way: Way): boolean }[] = [
  { monitor: "qemu", program: "qemu-system-x86_64", has: () => true },
  {
    monitor: "firecracker",
    program: "firecracker",
    has: ({ protocol, share }) => protocol === "agent" && share === undefined,
  },
  {
    monitor: "cloud-hypervisor",
    program: "cloud-hypervisor",
    has: ({ protocol, share, name }) => protocol === "agent" && (share === undefined || name === BY_RUST),
  },
];

interface Cell {
  readonly monitor: string;
  readonly program: string;
  readonly way: Way;
}

/**
 * Each way of a root to its machine by this protocol, with each monitor: what files can do on it, by one program that tries
 * all, and redis, which is reached over the network, and finds in the next machine what it has saved in the last.
 */
export function testWays(protocol: Way["protocol"]): void {
  const hasKvm = hostAcceleration("detect").kind === "kvm";
  /** What has been seen, for who reads the output. */
  const rows: string[] = [];
  let roots: Roots;
  let netns: Netns;
  let tools: string;

  beforeAll(async () => {
    tools = mkdtempSync(join(tmpdir(), "urunc-exerciser-"));
    const exerciser = join(tools, "exerciser");
    await buildExerciser(exerciser);
    roots = await openRoots("redis", { "/exerciser": exerciser });
    netns = await makeNetns();
  }, 300_000);

  afterAll(async () => {
    await roots?.containers.close();
    await netns?.remove();
    if (tools !== undefined) rmSync(tools, { recursive: true, force: true });
    const head = [
      "",
      "| monitor | way | protocol | checks that hold | that do not | 1 GiB | redis |",
      "|---|---|---|---|---|---|---|",
    ];
    console.log([...head, ...rows].join("\n"));
  }, 120_000);

  /** Sends commands to redis; undefined: it cannot be reached. */
  async function ask(...commands: string[][]): Promise<unknown[] | undefined> {
    const argv = netns.atPeer([process.execPath, CLIENT, netns.address, "6379"]);
    const { exitCode, stdout } = await command(argv, { stdin: JSON.stringify(commands) });
    return exitCode === 0 ? JSON.parse(stdout) : undefined;
  }

  /** Starts it, and waits for redis. */
  async function begin({ id, bundle, env }: WayContainer): Promise<Call> {
    const { runtime } = roots.containers;
    const call = await runtime.succeed(["create", "--bundle", bundle.directory, id], { env });
    await runtime.succeed(["start", id], { env });
    const answers = async () => {
      if ((await ask(["PING"]))?.[0] === "PONG") return true;
      if ((await runtime.state(id)).status !== "stopped") return false;
      throw new Error(`the container has ended: ${JSON.stringify(call.output())}`);
    };
    await until("redis answers", answers, 330_000, 500);
    return call;
  }

  async function end({ id }: WayContainer): Promise<void> {
    const { runtime } = roots.containers;
    await runtime.succeed(["kill", id, "TERM"]);
    await runtime.untilStatus(id, "stopped");
    await runtime.succeed(["delete", id]);
  }

  async function exercise({ monitor, program, way }: Cell): Promise<void> {
    const fill = way.writesAll ? "written" : "sparse";
    const container = await planByWay(roots, way, ["/exerciser", "/work", fill, ...REDIS], (config) => {
      const network = config.linux.namespaces.find(({ type }) => type === "network");
      if (network !== undefined) network.path = netns.path;
      if (monitor === "qemu") return;
      config.annotations = { ...config.annotations, "com.urunc.config.runtime.monitor": monitor };
    });
    try {
      const call = await begin(container);
      const names = processesInCgroup(container.bundle.config.linux.cgroupsPath).map(processName);
      expect(names.some((name) => program.startsWith(name))).toBe(true);
      const { held, failed, large } = parseChecks(call.output().stdout);
      expect(failed).toEqual(Object.keys(way.lacks).sort());
      expect(await ask(["SET", "key", "value"], ["GET", "key"])).toEqual(["OK", "value"]);
      if (way.keeps) {
        expect(await ask(["SAVE"])).toEqual(["OK"]);
        await end(container);
        changeConfig(container.bundle, ({ process }) => {
          process.args = [...(protocol === "direct" ? ["/urunit"] : []), ...REDIS];
        });
        await begin(container);
        expect(await ask(["GET", "key"])).toEqual(["value"]);
      }
      await end(container);
      const kept = way.keeps ? "served, kept" : "served";
      const file = `${fill}, ${(large / 1000).toFixed(1)} s`;
      rows.push(`| ${[monitor, way.name, protocol, held, failed.join(", "), file, kept].join(" | ")} |`);
    } finally {
      await roots.containers.runtime.call(["delete", "--force", container.id]);
      await unmountRoot(container);
    }
  }

  for (const { monitor, program, has } of MONITORS) {
    const ways = WAYS.filter((way) => way.protocol === protocol && has(way));
    if (ways.length === 0) continue;
    describe(monitor, () => {
      for (const way of ways) {
        const what = "files can do what is promised, and redis is served and kept";
        const name = `${way.name}, ${protocol}`;
        if (monitor === "qemu" || hasKvm) test(`${name}: ${what}`, () => exercise({ monitor, program, way }));
        else test.skip(`${name}: needs hardware KVM`, () => {});
      }
      if (monitor === "firecracker" || protocol !== "agent" || rustFileServer() !== undefined) return;
      test.skip(`${BY_RUST}, agent: there is none (URUNC_TEST_VIRTIOFSD)`, () => {});
    });
  }
}

/** What the exerciser has said: how many checks hold, the names of those that do not, and how long 1 GiB took, in ms. */
function parseChecks(output: string): { held: number; failed: string[]; large: number } {
  if (!/^done\r?$/m.test(output)) throw new Error(`the exerciser has not come to its end:\n${output}`);
  const named = (word: string) =>
    [...output.matchAll(new RegExp(`^${word} (\\S+)`, "gm"))].map(([, name]) => name as string);
  const large = Number(/^ok one-gibibyte (\d+)/m.exec(output)?.[1]);
  return { held: named("ok").length, failed: named("FAIL").sort(), large };
}
