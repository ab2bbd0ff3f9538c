import { createHash, randomBytes } from "node:crypto";
import { existsSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type CommandOptions, type CommandResult, command } from "./command.ts";
import {
  clientPrograms,
  containerdNamespace,
  containerdSocket,
  ctrCommand,
  type DockerLayout,
  inNetwork,
  runtimeRoot,
} from "./docker-layout.ts";
import { startKeeper } from "./keeper.ts";
import { runtimePath } from "./runtime.ts";

/** A containerd of our own, which finds shims beside the runtime. */
export interface Containerd {
  readonly layout: DockerLayout;
  /** Of containerd; without a CRI plugin also the name of the cgroup above all containers. */
  readonly namespace: string;
  /** The socket of a container's shim, outside of our directory: the shim makes it where no option can move it. */
  shimSocket(id: string): string;
  /** Where the shim tells the runtime to keep its state. */
  readonly runtimeRoot: string;
  /** The command line `ctr ARGS`. */
  ctr(args: readonly string[]): string[];
  /** Runs `ctr ARGS`. */
  run(args: readonly string[], options?: CommandOptions): Promise<CommandResult>;
  /** Runs `ctr ARGS`, which must succeed; gives standard output without the last newline. */
  succeed(args: readonly string[], options?: CommandOptions): Promise<string>;
  /** Kills containerd by SIGKILL and starts it again. */
  restart(): Promise<void>;
  /** The command line that runs `argv` in containerd's network namespace. */
  inNetwork(argv: readonly string[]): string[];
  /** Ends all containers and containerd and removes everything; throws when something could not be removed. */
  stop(): Promise<void>;
}

/**
 * Starts a private containerd. Root only.
 *
 * @param runtime the runtime, absolute, beside which the shims are looked for
 * @param cri gives the configuration of its CRI plugin, whose files may be below the directory; default: there is none
 * @param plugins lines of the configuration of its other plugins
 * @param configVersion see `DockerLayout`
 * @param programs see `DockerLayout.programs`
 */
export async function startContainerd(
  name: string,
  runtime: string = runtimePath,
  {
    cri,
    plugins,
    configVersion,
    programs = clientPrograms,
  }: {
    cri?: (directory: string) => string;
    plugins?: string;
    configVersion?: number;
    programs?: string | undefined;
  } = {},
): Promise<Containerd> {
  if (!existsSync(runtime)) throw new Error(`no runtime at ${runtime}: build it first`);
  const directory = mkdtempSync(join(tmpdir(), `ur-${name}-`));
  const layout: DockerLayout = {
    daemons: "containerd",
    name: randomBytes(3).toString("hex"),
    directory,
    runtime,
    ...(programs === undefined ? {} : { programs }),
    network: "private",
    bridgeAddress: "",
    ...(cri === undefined ? {} : { cri: cri(directory) }),
    ...(plugins === undefined ? {} : { plugins }),
    ...(configVersion === undefined ? {} : { configVersion }),
  };
  const namespace = containerdNamespace(layout);
  const keeper = await startKeeper(layout);
  const run = (args: readonly string[], options?: CommandOptions) =>
    command(ctrCommand(layout, args), options);
  return {
    layout,
    namespace,
    shimSocket(id) {
      // As the shim does (`shim.SocketAddress`).
      const hash = createHash("sha256")
        .update(join(containerdSocket(layout), namespace, id))
        .digest("hex");
      return `/run/containerd/s/${hash}`;
    },
    runtimeRoot: runtimeRoot(layout),
    ctr: (args) => ctrCommand(layout, args),
    run,
    async succeed(args, options) {
      const result = await run(args, options);
      if (result.exitCode === 0) return result.stdout.replace(/\n$/, "");
      throw new Error(`ctr ${args.join(" ")}: exit ${result.exitCode}\n${result.stdout}${result.stderr}`);
    },
    restart: () => keeper.carryOut("kill containerd"),
    inNetwork: (argv) => inNetwork(layout, argv),
    stop: keeper.stop,
  };
}
