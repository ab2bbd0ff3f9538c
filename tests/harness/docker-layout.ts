import { existsSync } from "node:fs";

/** Where private daemons keep everything; all of it below one directory, apart from what the kernel keeps. */
export interface DockerLayout {
  /** `containerd`: that daemon alone, whose client is `ctr`. */
  readonly daemons: "docker" | "containerd";
  /** A short word, unique on this machine: names the bridge, the network namespace and the cgroup. */
  readonly name: string;
  readonly directory: string;
  /** The program registered as the runtime `urunc`. */
  readonly runtime: string;
  /** A directory with daemons and clients that go before the machine's own; absent: Debian's. */
  readonly programs?: string;
  /**
   * `private`: a network namespace of its own, so that nothing of the host's network is touched and several may
   * run at once. `host`: a bridge of its own on the host and no packet filter rules at all.
   */
  readonly network: "private" | "host";
  /** Containers outlive dockerd. */
  readonly liveRestore?: boolean;
  /** IPv4 of the default bridge, with its prefix length. */
  readonly bridgeAddress: string;
  /** Of containerd's configuration; default 2, which all have. */
  readonly configVersion?: number;
  /** Lines of containerd's configuration for its CRI plugin, which is off without them. */
  readonly cri?: string;
  /** Lines of containerd's configuration for its other plugins. */
  readonly plugins?: string;
}

/** A directory of daemons and clients with which all tests are to run, of `URUNC_TEST_CLIENTS`; undefined: Debian's. */
export const clientPrograms: string | undefined = process.env["URUNC_TEST_CLIENTS"];

/** Docker's API socket. */
export function dockerSocket(layout: DockerLayout): string {
  return `${layout.directory}/docker.sock`;
}

/** containerd's API socket. */
export function containerdSocket(layout: DockerLayout): string {
  return `${layout.directory}/containerd.sock`;
}

/** A `ctr` command line against this containerd, in a containerd namespace whose containers' cgroups are below ours. */
export function ctrCommand(layout: DockerLayout, args: readonly string[]): string[] {
  const flags = ["--address", containerdSocket(layout), "--namespace", containerdNamespace(layout)];
  return inNetwork(layout, [programOf(layout, "ctr", "ctr"), ...flags, ...args]);
}

/** Of containerd: the one that its CRI plugin takes, or one whose name is that of the cgroup. */
export function containerdNamespace(layout: DockerLayout): string {
  return layout.cri === undefined ? cgroupParent(layout).slice(1) : "k8s.io";
}

/** The program of that name in the layout's directory of programs; `otherwise` where it has none. */
export function programOf(layout: DockerLayout, name: string, otherwise: string): string {
  const path = `${layout.programs}/${name}`;
  return layout.programs !== undefined && existsSync(path) ? path : otherwise;
}

/** Where containerd's shim for runc tells the runtime to keep its state: outside of our directory. */
export function runtimeRoot(layout: DockerLayout): string {
  return `/run/containerd/runc/${containerdNamespace(layout)}`;
}

/** The cgroup that all containers are below, in every hierarchy. */
export function cgroupParent(layout: DockerLayout): string {
  return `/urunc-${layout.name}`;
}

/** Name of the default bridge. */
export function bridgeName(layout: DockerLayout): string {
  return layout.network === "private" ? "docker0" : `ur-${layout.name}`;
}

/** What precedes a command that shall run where the bridge is. */
export function inNetwork(layout: DockerLayout, argv: readonly string[]): string[] {
  return layout.network === "private"
    ? ["nsenter", `--net=/run/netns/${namespaceName(layout)}`, ...argv]
    : [...argv];
}

/** Name of the network namespace (`ip netns`). */
export function namespaceName(layout: DockerLayout): string {
  return `urunc-${layout.name}`;
}

/** A `docker` command line against this daemon. Debian's client: a newer one elsewhere in PATH is not asked. */
export function dockerCommand(layout: DockerLayout, args: readonly string[]): string[] {
  return inNetwork(layout, [
    programOf(layout, "docker", "/usr/bin/docker"),
    "--config",
    `${layout.directory}/client`,
    "--host",
    `unix://${dockerSocket(layout)}`,
    ...args,
  ]);
}
