import { randomBytes } from "node:crypto";
import { existsSync, mkdtempSync } from "node:fs";
import { networkInterfaces, tmpdir } from "node:os";
import { join } from "node:path";
import { type CommandOptions, type CommandResult, command } from "./command.ts";
import {
  cgroupParent,
  clientPrograms,
  type DockerLayout,
  dockerCommand,
  dockerSocket,
  inNetwork,
} from "./docker-layout.ts";
import { type KeeperCommand, startKeeper } from "./keeper.ts";

/** What a private Docker is made of. */
export interface DockerOptions {
  /** A word for people who look at the process list. */
  readonly name: string;
  /** The program registered as the runtime `urunc`: an absolute path. */
  readonly runtime: string;
  /** Where everything is kept; default a new directory below the system's for temporary files. */
  readonly directory?: string;
  /** Default `private`; see {@link DockerLayout.network}. */
  readonly network?: "private" | "host";
  /** Containers outlive dockerd; default false. */
  readonly liveRestore?: boolean;
  /** Default {@link clientPrograms}; see {@link DockerLayout.programs}. */
  readonly programs?: string | undefined;
}

/** A containerd and a dockerd of our own, and nothing shared with those the machine may have. */
export interface Docker {
  readonly layout: DockerLayout;
  /** Path of the API socket. */
  readonly socket: string;
  /** Path of the cgroup above all containers, the same in every hierarchy. */
  readonly cgroup: string;
  /** Runs `docker ARGS`. */
  run(args: readonly string[], options?: CommandOptions): Promise<CommandResult>;
  /** Runs `docker ARGS`, which must succeed; gives standard output without the last newline. */
  succeed(args: readonly string[], options?: CommandOptions): Promise<string>;
  /** The command line that runs `argv` where the bridge can be reached. */
  inNetwork(argv: readonly string[]): string[];
  /** Kills what the command says, and starts it again. */
  carryOut(command: KeeperCommand): Promise<void>;
  /** Ends all containers and daemons and removes everything; throws when something could not be removed. */
  stop(): Promise<void>;
}

/**
 * Starts a private Docker with Debian's own daemons. It is kept by a process of its own, which removes everything
 * when this process ends, however it ends. Root only.
 */
export async function startDocker(options: DockerOptions): Promise<Docker> {
  if (!existsSync(options.runtime)) throw new Error(`no runtime at ${options.runtime}: build it first`);
  const network = options.network ?? "private";
  const programs = options.programs ?? clientPrograms;
  const layout: DockerLayout = {
    daemons: "docker",
    name: randomBytes(3).toString("hex"),
    directory: options.directory ?? mkdtempSync(join(tmpdir(), `ur-${options.name.slice(0, 12)}-`)),
    runtime: options.runtime,
    network,
    ...(programs === undefined ? {} : { programs }),
    liveRestore: options.liveRestore ?? false,
    bridgeAddress: network === "private" ? "172.30.0.1/24" : freeSubnet(),
  };

  const keeper = await startKeeper(layout);
  return {
    layout,
    socket: dockerSocket(layout),
    cgroup: cgroupParent(layout),
    run: (args, runOptions) => command(dockerCommand(layout, args), runOptions),
    async succeed(args, runOptions) {
      const result = await command(dockerCommand(layout, args), runOptions);
      if (result.exitCode !== 0) {
        throw new Error(
          `docker ${args.join(" ")}: exit ${result.exitCode}\n${result.stdout}${result.stderr}`,
        );
      }
      return result.stdout.replace(/\n$/, "");
    },
    inNetwork: (argv) => inNetwork(layout, argv),
    carryOut: keeper.carryOut,
    stop: keeper.stop,
  };
}

/** A /24 that no interface of this machine is in. */
function freeSubnet(): string {
  const taken = Object.values(networkInterfaces()).flatMap((list) => (list ?? []).map((one) => one.address));
  for (let third = 30; third < 255; third++) {
    if (!taken.some((address) => address.startsWith(`172.31.${third}.`))) return `172.31.${third}.1/24`;
  }
  throw new Error("no free subnet between 172.31.30.0 and 172.31.254.0");
}
