import { UruncError } from "../errors.ts";
import type { ImageProcess } from "../image/spec/image-config.ts";
import { formatPublished, PUBLISH, type PublishedPort } from "../network/published.ts";
import type { Mount, Resources, Spec, User } from "../oci/runtime-spec.ts";
import { ROOT_LOWER, ROOT_UPPER } from "../rootfs/given.ts";
import type { MountPoint } from "./mount-point.ts";
import type { RunRequest } from "./request.ts";

/** What becomes a machine's `config.json`. */
export interface MachineParts {
  id: string;
  request: RunRequest;
  image: ImageProcess;
  user: User;
  hostname: string;
  ports: readonly PublishedPort[];
  /** Absolute paths on the host: the image as a file system (default: the bundle's root is asked), the client's own files. */
  root?: string | undefined;
  files: { resolvConf: string; hosts: string; hostname: string };
  /** An ext4 file system that has what the machine changes (default: its memory). */
  upper?: string;
  /** The bundle's root: a directory of what the image brings (default: an empty one). */
  rootfs?: string;
  /** What the image says of that. */
  annotations?: Readonly<Record<string, string>>;
}

/** A directory of each bundle: empty, or the machine's own copy of what the image brings. */
export const OWN_ROOTFS = "rootfs";

/** Docker's, for containers without `--cap-add`. */
const CAPABILITIES = [
  ...["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_MKNOD", "CAP_NET_RAW", "CAP_SETGID"],
  ...["CAP_SETUID", "CAP_SETFCAP", "CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_KILL"],
  "CAP_AUDIT_WRITE",
];

/** Docker's: any user may listen on any port, and send what `ping` does. */
const SYSCTLS = { "net.ipv4.ip_unprivileged_port_start": "0", "net.ipv4.ping_group_range": "0 2147483647" };

const PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const CPU_PERIOD = 100_000;

/** Docker's mounts. */
const MOUNTS: readonly Mount[] = [
  { destination: "/proc", type: "proc", source: "proc", options: ["nosuid", "noexec", "nodev"] },
  {
    destination: "/dev",
    type: "tmpfs",
    source: "tmpfs",
    options: ["nosuid", "strictatime", "mode=755", "size=65536k"],
  },
  {
    destination: "/dev/pts",
    type: "devpts",
    source: "devpts",
    options: ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
  },
  { destination: "/sys", type: "sysfs", source: "sysfs", options: ["nosuid", "noexec", "nodev", "ro"] },
  {
    destination: "/sys/fs/cgroup",
    type: "cgroup",
    source: "cgroup",
    options: ["ro", "nosuid", "noexec", "nodev"],
  },
  { destination: "/dev/mqueue", type: "mqueue", source: "mqueue", options: ["nosuid", "noexec", "nodev"] },
  {
    destination: "/dev/shm",
    type: "tmpfs",
    source: "shm",
    options: ["nosuid", "noexec", "nodev", "mode=1777", "size=67108864"],
  },
];

/** The client's own files, which are in the place of the image's. */
const OWN_FILES = {
  "/etc/resolv.conf": "resolvConf",
  "/etc/hostname": "hostname",
  "/etc/hosts": "hosts",
} as const;

/** What every machine mounts over, but for what is inside of that. */
export const MOUNT_POINTS: readonly MountPoint[] = [
  ...MOUNTS.map(({ destination }) => destination)
    .filter((path, _, all) => !all.some((other) => path.startsWith(`${other}/`)))
    .map((path) => ({ path, kind: "directory" as const })),
  ...Object.keys(OWN_FILES).map((path) => ({ path, kind: "file" as const })),
];

const MASKED = [
  ...["/proc/asound", "/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list"],
  ...["/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware"],
];
const READ_ONLY = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/** What runs: the entry point and its arguments, by Docker's rules. */
export function commandOf(
  request: Pick<RunRequest, "entrypoint" | "args">,
  image: Pick<ImageProcess, "entrypoint" | "cmd">,
): string[] {
  const { entrypoint, args } = request;
  // With another entry point the image's command is not its own.
  if (entrypoint !== undefined) return [...(entrypoint === "" ? [] : [entrypoint]), ...args];
  return [...image.entrypoint, ...(args.length > 0 ? args : image.cmd)];
}

/** The image's environment with what was asked for, by Docker's rules. */
export function environmentOf(
  request: Pick<RunRequest, "env" | "terminal">,
  imageEnv: readonly string[],
  hostname: string,
): string[] {
  const variables = new Map<string, string>();
  const set = (text: string) => {
    const name = text.split("=")[0] as string;
    if (text.includes("=")) variables.set(name, text);
    else variables.delete(name);
  };
  for (const text of [PATH, `HOSTNAME=${hostname}`, ...(request.terminal ? ["TERM=xterm"] : [])]) set(text);
  for (const text of [...imageEnv, ...request.env]) set(text);
  return [...variables.values()];
}

/**
 * The OCI specification of a machine: Docker's defaults, the image's process, and what was asked for. The machine is the
 * boundary, so that there is no system call filter.
 *
 * @throws UruncError `usage`: there is nothing to run
 */
export function machineSpec(parts: MachineParts): Spec {
  const { id, request, image, user, hostname, ports } = parts;
  const args = commandOf(request, image);
  if (args.length === 0) throw new UruncError("usage", "No command specified");
  const isRoot = user.uid === 0;
  const namespaces = ["pid", "ipc", "uts", "mount", ...(request.network === "none" ? ["network"] : [])];
  return {
    ociVersion: "1.0.2",
    process: {
      terminal: request.terminal,
      user,
      args,
      env: environmentOf(request, image.env, hostname),
      cwd: request.workingDir ?? (image.workingDir || "/"),
      capabilities: {
        bounding: CAPABILITIES,
        effective: isRoot ? CAPABILITIES : [],
        permitted: isRoot ? CAPABILITIES : [],
      },
      oomScoreAdj: 0,
    },
    root: { path: parts.rootfs ?? OWN_ROOTFS, readonly: request.readOnly },
    hostname,
    mounts: [
      ...MOUNTS,
      ...ownFiles(parts),
      ...request.tmpfs.map(tmpfsMount),
      ...request.volumes.map(volumeMount),
    ],
    annotations: {
      ...parts.annotations,
      ...(parts.root === undefined ? {} : { [ROOT_LOWER]: parts.root }),
      ...(parts.upper === undefined ? {} : { [ROOT_UPPER]: parts.upper }),
      ...(ports.length === 0 ? {} : { [PUBLISH]: formatPublished(ports) }),
    },
    linux: {
      namespaces: namespaces.map((type) => ({ type })),
      cgroupsPath: `/bunny/${id}`,
      sysctl: SYSCTLS,
      resources: resourcesOf(request),
      maskedPaths: MASKED,
      readonlyPaths: READ_ONLY,
    },
  };
}

function ownFiles({ files, request }: MachineParts): Mount[] {
  const given = new Set(request.volumes.map(({ destination }) => destination));
  const places = Object.entries(OWN_FILES).map(([path, name]) => [path, files[name]] as const);
  return places
    .filter(([destination]) => !given.has(destination))
    .map(([destination, source]) => ({ destination, type: "bind", source, options: ["rbind", "rprivate"] }));
}

function tmpfsMount({ destination, options }: RunRequest["tmpfs"][number]): Mount {
  return { destination, type: "tmpfs", source: "tmpfs", options: ["noexec", "nosuid", "nodev", ...options] };
}

function volumeMount({ source, destination, readOnly }: RunRequest["volumes"][number]): Mount {
  return { destination, type: "bind", source, options: ["rbind", readOnly ? "ro" : "rw", "rprivate"] };
}

function resourcesOf({ memory, nanoCpus }: RunRequest): Resources {
  return {
    ...(memory ? { memory: { limit: memory } } : {}),
    ...(nanoCpus ? { cpu: { quota: Math.max(1000, Math.round(nanoCpus / 1e4)), period: CPU_PERIOD } } : {}),
  };
}

/** Docker's `/etc/hosts`. */
export function hostsFile(hostname: string, network: RunRequest["network"]): string {
  const common = [
    "127.0.0.1\tlocalhost",
    "::1\tlocalhost ip6-localhost ip6-loopback",
    "fe00::0\tip6-localnet",
    "ff00::0\tip6-mcastprefix",
    "ff02::1\tip6-allnodes",
    "ff02::2\tip6-allrouters",
  ];
  return [...common, `${network === "none" ? "127.0.1.1" : "10.0.2.15"}\t${hostname}`, ""].join("\n");
}
