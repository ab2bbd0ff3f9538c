import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { type CommandOptions, type CommandResult, command, succeed } from "./command.ts";
import { runtimePath } from "./runtime.ts";

/** What podman remembers of where it has seen layers, for all that root does: no option moves it. */
const SEEN = "/var/lib/containers/cache/blob-info-cache-v1.boltdb";

/** A podman with storage, state and networks of its own: it has no daemon. */
export interface Podman {
  /** All that it keeps is below it. */
  readonly directory: string;
  /** Of its network namespace. */
  readonly name: string;
  /** Runs `podman ARGS`. */
  run(args: readonly string[], options?: CommandOptions): Promise<CommandResult>;
  /** Runs `podman ARGS`, which must succeed; gives standard output without the last newline. */
  succeed(args: readonly string[], options?: CommandOptions): Promise<string>;
  /** The command line that runs `argv` where its bridge can be reached. */
  inNetwork(argv: readonly string[]): string[];
  /** Removes all pods and containers, and everything else. */
  stop(): Promise<void>;
}

/**
 * Opens an empty podman, Debian's own, whose runtimes are `urunc` and `runc`; urunc is the default. Root only.
 *
 * @param runtime the runtime `urunc`, absolute
 */
export async function openPodman(runtime: string = runtimePath): Promise<Podman> {
  if (!existsSync(runtime)) throw new Error(`no runtime at ${runtime}: build it first`);
  const name = `urunc-pm-${randomBytes(3).toString("hex")}`;
  const directory = mkdtempSync(join(tmpdir(), "ur-podman-"));
  const hadSeen = existsSync(SEEN);
  mkdirSync(join(directory, "networks"));
  writeFileSync(join(directory, "containers.conf"), settings(directory, runtime));
  writeFileSync(join(directory, "networks/podman.conflist"), JSON.stringify(network(directory)));
  // What it sets for its bridge (net.ipv4.ip_forward, packet filters) is the namespace's, not the host's.
  await succeed(["ip", "netns", "add", name]);
  await succeed(["ip", "-n", name, "link", "set", "lo", "up"]);
  const inNetwork = (argv: readonly string[]) => ["nsenter", `--net=/run/netns/${name}`, ...argv];
  const run = (args: readonly string[], options: CommandOptions = {}) =>
    command(
      inNetwork([
        ...["podman", "--root", join(directory, "storage"), "--runroot", join(directory, "run")],
        ...["--tmpdir", join(directory, "tmp"), "--network-config-dir", join(directory, "networks"), ...args],
      ]),
      {
        ...options,
        env: {
          ...(process.env as Record<string, string>),
          CONTAINERS_CONF: join(directory, "containers.conf"),
        },
      },
    );
  const all = async (args: readonly string[], options?: CommandOptions) => {
    const result = await run(args, options);
    if (result.exitCode === 0) return result.stdout.replace(/\n$/, "");
    throw new Error(`podman ${args.join(" ")}: exit ${result.exitCode}\n${result.stdout}${result.stderr}`);
  };
  return {
    directory,
    name,
    run,
    succeed: all,
    inNetwork,
    async stop() {
      await run(["pod", "rm", "--all", "--force", "--time", "0"]);
      await run(["rm", "--all", "--force", "--time", "0"]);
      for (const point of mountsBelow(directory)) await command(["umount", "--lazy", point]);
      await command(["ip", "netns", "delete", name]);
      rmSync(directory, { recursive: true, force: true });
      if (hadSeen) return;
      rmSync(SEEN, { force: true });
      // With a podman of the machine's own there is more in them.
      await command(["rmdir", "--parents", "--ignore-fail-on-non-empty", dirname(SEEN)]);
    },
  };
}

function settings(directory: string, runtime: string): string {
  return [
    "[containers]",
    // Podman's own are more than root may have where it is confined itself.
    'default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]',
    "[engine]",
    'cgroup_manager = "cgroupfs"',
    'events_logger = "file"',
    // Else they are in memory that all podmans of the host share.
    'lock_type = "file"',
    'runtime = "urunc"',
    `static_dir = "${directory}/static"`,
    `volume_path = "${directory}/volumes"`,
    "[engine.runtimes]",
    `urunc = ["${runtime}"]`,
    'runc = ["/usr/sbin/runc", "/usr/bin/runc"]',
    "[network]",
    'network_backend = "cni"',
    "",
  ].join("\n");
}

/** Podman's default network, but for where the addresses that are taken are noted. */
function network(directory: string): unknown {
  return {
    cniVersion: "0.4.0",
    name: "podman",
    plugins: [
      {
        type: "bridge",
        bridge: "cni-podman0",
        isGateway: true,
        ipMasq: true,
        hairpinMode: true,
        ipam: {
          type: "host-local",
          dataDir: join(directory, "addresses"),
          routes: [{ dst: "0.0.0.0/0" }],
          ranges: [[{ subnet: "10.88.0.0/16", gateway: "10.88.0.1" }]],
        },
      },
      { type: "portmap", capabilities: { portMappings: true } },
      { type: "firewall" },
      { type: "tuning" },
    ],
  };
}

function mountsBelow(directory: string): string[] {
  return readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .map((line) => line.split(" ")[4] ?? "")
    .filter((point) => point.startsWith(`${directory}/`))
    .reverse();
}
