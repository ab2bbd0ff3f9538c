import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import type { BundleConfig } from "./bundle.ts";
import { succeed } from "./command.ts";
import { type Containers, openContainers, type PlannedContainer } from "./containers.ts";
import { devicesAt } from "./device-root.ts";
import type { ImageName } from "./images.ts";

/** One way of a root file system to its machine, with the agent or without. */
export interface Way {
  readonly name: string;
  readonly protocol: "agent" | "direct";
  /** What is written is in the machine's memory. */
  readonly inMemory: boolean;
  /** What is written is there again in the next machine of the same container. */
  readonly keeps: boolean;
  /** The file of 1 GiB is written whole: once for each kind of way that has the room, as it takes its time. */
  readonly writesAll?: true;
  /** By which the host shares it. */
  readonly share?: "virtiofs" | "9p";
  /** Checks of the exerciser that do not hold, each with the reason. One that holds all the same is a failure. */
  readonly lacks: Readonly<Record<string, string>>;
  /** How its bundle differs from one of the shared root. */
  differ(roots: Roots): Difference | Promise<Difference>;
}

/** An image in all forms that ways need. */
export interface Roots {
  readonly containers: Containers;
  /** A directory with the image's files, a layer of a store. */
  readonly tree: string;
  /** Files, each of which is a file system or an archive. */
  readonly ext4: string;
  readonly erofs: string;
  readonly initrd: string;
  /** A kernel of which nothing is known: it is booted without the agent. */
  readonly kernel: string;
  /** Host paths of the files beside the image's, by their place in the root. */
  readonly extra: Readonly<Record<string, string>>;
  /** A new file that is an empty ext4 file system. */
  makeDisk(): Promise<string>;
}

interface Difference {
  readonly annotations?: Record<string, string>;
  /** Host paths by their place in the bundle's root, which is empty but for them. */
  readonly files?: Record<string, string>;
  /** The bundle's root is an overlay of the image's tree, as engines make it. */
  readonly overlay?: true;
  /** An image whose copy is mounted as the bundle's root. */
  readonly mounted?: string;
  /** Of urunc. */
  readonly configuration?: string;
}

/** A container by one of the ways. */
export interface WayContainer extends PlannedContainer {
  /** In which the runtime is called. */
  readonly env: Record<string, string>;
}

const SHARE = resolve(import.meta.dir, "../../dist/share/urunc");
const PREFIX = "com.urunc.unikernel.";
const LOWER = "com.urunc.root.lower";
const UPPER = "com.urunc.root.upper";

/** Room for a file of 1 GiB, and for the image. */
const DISK = "1600M";

/** Of a program that tries all that files can do. */
const CAPABILITIES = [
  ...["CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE"],
  ...["SETFCAP", "SETGID", "SETUID", "SYS_ADMIN"],
].map((name) => `CAP_${name}`);

const NINE_P: Difference = { configuration: '[monitors.qemu]\nshare = "9p"\n' };
const VIRTIOFS: Difference = { configuration: '[monitors.qemu]\nshare = "virtiofs"\n' };
/** The way by another server than Debian 12's. */
export const BY_RUST = "virtiofs, the server in Rust";
const RUST = rustFileServer();
const ROOT_DISK = { [`${PREFIX}block`]: "/disk", [`${PREFIX}blkMntPoint`]: "/" };

function byServer(path: string): Difference {
  return {
    configuration: `${VIRTIOFS.configuration}[extra_binaries.virtiofsd]\npath = ${JSON.stringify(path)}\n`,
  };
}

/** virtiofs with options of its server's. */
export function virtiofsWith(options: string): Difference {
  return {
    configuration: `${VIRTIOFS.configuration}[extra_binaries.virtiofsd]\noptions = ${JSON.stringify(options)}\n`,
  };
}

type Differ = Way["differ"];
const blockImage =
  (file: "ext4" | "erofs"): Differ =>
  (roots) => ({ annotations: ROOT_DISK, files: { "/disk": roots[file] } });
const initrd: Differ = (roots) => ({
  annotations: { [`${PREFIX}initrd`]: "/initrd" },
  files: { "/initrd": roots.initrd },
});

const blockSnapshot: Differ = ({ ext4 }) => ({
  annotations: { [`${PREFIX}mountRootfs`]: "true" },
  mounted: ext4,
});

const automatic =
  (words: string): Differ =>
  ({ containers }) => ({
    overlay: true,
    configuration: `[rootfs]\nway = "image"\ndirectory = "${containers.runtime.directory}/automatic"\n${words}`,
  });

const KEEPS = { inMemory: false, keeps: true, lacks: {} };
const IN_MEMORY = { inMemory: true, keeps: false, lacks: {} };
const NO_REQUEST = "there is no request for it";
const OPENS_NONE = "the server opens nothing but files and directories";
const USER_ALONE = "the server lets user.* and access lists through alone";

const BY_VIRTIOFS_DIRECT = {
  ...KEEPS,
  share: "virtiofs",
  lacks: {
    "xattr-trusted": "the server has no CAP_SYS_ADMIN",
    "unnamed-file": "the server does not know the request",
  },
} as const;
const BY_VIRTIOFS = {
  ...BY_VIRTIOFS_DIRECT,
  lacks: {
    ...BY_VIRTIOFS_DIRECT.lacks,
    "access-list": "Linux 6.12 has none on a mount within a share, as the root is with the agent",
  },
} as const;
const BY_9P_DIRECT = {
  ...KEEPS,
  share: "9p",
  lacks: {
    "rename-noreplace": "the request has no flags",
    "rename-exchange": "the request has no flags",
    "xattr-trusted": USER_ALONE,
    "xattr-capability": USER_ALONE,
    nanoseconds: "Linux 6.12 sets whole seconds",
    "seek-hole": NO_REQUEST,
    fallocate: NO_REQUEST,
    "punch-hole": NO_REQUEST,
    "unlink-open": "the server looks at a file by its name",
    "unnamed-file": NO_REQUEST,
    fifo: OPENS_NONE,
    "unix-socket": OPENS_NONE,
    "device-node": OPENS_NONE,
  },
} as const;
const BY_9P = {
  ...BY_9P_DIRECT,
  lacks: {
    ...BY_9P_DIRECT.lacks,
    "access-list": "not asked for: the guest would send two more requests for each file that it looks up",
  },
} as const;
/** With `root=` on its command line the kernel unpacks an initrd into ramfs. */
const RAMFS = {
  ...IN_MEMORY,
  lacks: Object.fromEntries(
    [
      ...["xattr-user", "xattr-trusted", "xattr-capability", "access-list", "seek-hole", "fallocate"],
      ...["punch-hole", "direct-io", "statfs"],
    ].map((check) => [check, "ramfs has none"]),
  ),
};

/** All that this machine has. */
export const WAYS: readonly Way[] = [
  { name: "virtiofs", protocol: "agent", ...BY_VIRTIOFS, writesAll: true, differ: () => VIRTIOFS },
  ...(RUST === undefined
    ? []
    : [
        {
          name: BY_RUST,
          protocol: "agent" as const,
          ...BY_VIRTIOFS,
          differ: () => byServer(RUST),
        },
      ]),
  { name: "9p", protocol: "agent", ...BY_9P, differ: () => NINE_P },
  { name: "block image, ext4", protocol: "agent", ...KEEPS, writesAll: true, differ: blockImage("ext4") },
  { name: "block image, EROFS", protocol: "agent", ...IN_MEMORY, differ: blockImage("erofs") },
  {
    name: "files, tmpfs above",
    protocol: "agent",
    ...IN_MEMORY,
    differ: ({ erofs }) => ({ annotations: { [LOWER]: erofs }, files: {} }),
  },
  {
    name: "files, ext4 above",
    protocol: "agent",
    ...KEEPS,
    writesAll: true,
    differ: async ({ erofs, makeDisk }) => ({
      annotations: { [LOWER]: erofs, [UPPER]: await makeDisk() },
      files: {},
    }),
  },
  { name: "automatic image, EROFS", protocol: "agent", ...IN_MEMORY, differ: automatic("") },
  { name: "automatic image, ext4", protocol: "agent", ...IN_MEMORY, differ: automatic('format = "ext4"\n') },
  {
    name: "automatic image, changes kept",
    protocol: "agent",
    ...KEEPS,
    differ: automatic('changes = "persist"\n'),
  },
  { name: "block snapshot", protocol: "agent", ...KEEPS, differ: blockSnapshot },
  { name: "initrd", protocol: "agent", ...IN_MEMORY, differ: initrd },
  { name: "virtiofs", protocol: "direct", ...BY_VIRTIOFS_DIRECT, differ: () => VIRTIOFS },
  { name: "9p", protocol: "direct", ...BY_9P_DIRECT, differ: () => NINE_P },
  { name: "block image, ext4", protocol: "direct", ...KEEPS, differ: blockImage("ext4") },
  { name: "block snapshot", protocol: "direct", ...KEEPS, differ: blockSnapshot },
  { name: "initrd", protocol: "direct", ...RAMFS, differ: initrd },
];

/**
 * Makes an image's roots for all ways.
 *
 * @param extra host paths of further files, by their place in the root
 * @param program the runtime, if not the one under test
 */
export async function openRoots(
  image: ImageName,
  extra: Readonly<Record<string, string>>,
  program?: string,
): Promise<Roots> {
  const containers = await openContainers(image, program);
  const { directory } = containers.runtime;
  const { bundle } = await containers.plan(["true"]);
  const all = { ...extra, "/urunit": join(SHARE, "urunit") };
  await addFiles(bundle.rootfs, all);
  const path = (name: string) => join(directory, name);
  await succeed(["mkfs.ext4", "-q", "-d", bundle.rootfs, path("root.ext4"), DISK]);
  await succeed(["mkfs.erofs", "--quiet", path("root.erofs"), bundle.rootfs]);
  await succeed([
    "sh",
    "-c",
    `cd ${bundle.rootfs} && find . | cpio --quiet -H newc -o >${path("root.cpio")}`,
  ]);
  // Another build than ours, for who compares the two.
  const bytes = [readFileSync(join(SHARE, "vmlinux")), Buffer.alloc(16)];
  writeFileSync(path("kernel"), Buffer.concat(bytes));
  // A layer as Docker keeps it.
  mkdirSync(path("layer"));
  writeFileSync(path("layer/link"), "LAYER");
  renameSync(bundle.rootfs, path("layer/diff"));
  let disks = 0;
  return {
    containers,
    tree: path("layer/diff"),
    ext4: path("root.ext4"),
    erofs: path("root.erofs"),
    initrd: path("root.cpio"),
    kernel: path("kernel"),
    extra: all,
    async makeDisk() {
      const disk = path(`disk-${++disks}.ext4`);
      await succeed(["mkfs.ext4", "-q", disk, DISK]);
      return disk;
    },
  };
}

/** A container whose root arrives by this way. */
export async function planByWay(
  roots: Roots,
  way: Pick<Way, "protocol" | "inMemory" | "differ">,
  args: readonly string[],
  change: (config: BundleConfig) => void = () => {},
): Promise<WayContainer> {
  const { annotations, files, mounted, overlay, configuration } = await way.differ(roots);
  const isDirect = way.protocol === "direct";
  const container = await roots.containers.plan(isDirect ? ["/urunit", ...args] : args, (config) => {
    config.annotations = { ...annotations, ...(isDirect ? { [`${PREFIX}binary`]: "/.boot/kernel" } : {}) };
    for (const set of ["bounding", "effective", "permitted"]) config.process.capabilities[set] = CAPABILITIES;
    config.linux.resources.devices = [{ allow: true, access: "rwm" }];
    if (way.inMemory) config.linux.resources.memory = { limit: 2 ** 30 };
    change(config);
  });
  const { rootfs, directory } = container.bundle;
  if (files !== undefined || mounted !== undefined || overlay) {
    rmSync(rootfs, { recursive: true });
    mkdirSync(rootfs);
  }
  if (mounted !== undefined) {
    const image = join(directory, "root.ext4");
    await copySparse(mounted, image);
    await succeed(["mount", "-o", "loop", image, rootfs]);
  }
  if (overlay) {
    const [upper, work] = [join(directory, "upper"), join(directory, "work")];
    for (const place of [upper, work]) mkdirSync(place);
    const options = `lowerdir=${roots.tree},upperdir=${upper},workdir=${work}`;
    await succeed(["mount", "-t", "overlay", "-o", options, "overlay", rootfs]);
  }
  if (!overlay) await addFiles(rootfs, files ?? roots.extra);
  if (isDirect) await addFiles(rootfs, { "/.boot/kernel": roots.kernel });
  const env = { ...(process.env as Record<string, string>) };
  if (configuration !== undefined) {
    env["URUNC_CONFIG_FILE"] = join(directory, "urunc.toml");
    writeFileSync(env["URUNC_CONFIG_FILE"], configuration);
  }
  return { ...container, env };
}

/** Unmounts what `planByWay` has mounted. */
export async function unmountRoot({ bundle }: PlannedContainer): Promise<void> {
  while (devicesAt(bundle.rootfs).length > 0) await succeed(["umount", bundle.rootfs]);
}

async function addFiles(root: string, files: Readonly<Record<string, string>>): Promise<void> {
  for (const [place, source] of Object.entries(files)) {
    mkdirSync(dirname(join(root, place)), { recursive: true });
    await copySparse(source, join(root, place));
  }
}

async function copySparse(from: string, to: string): Promise<void> {
  await succeed(["cp", "-a", "--sparse=always", from, to]);
}

/** A virtiofsd in Rust, where one is: of the distribution, or of URUNC_TEST_VIRTIOFSD. */
export function rustFileServer(): string | undefined {
  const places = [process.env["URUNC_TEST_VIRTIOFSD"] ?? "", "/usr/libexec/virtiofsd", "/usr/lib/virtiofsd"];
  return places.find((path) => path !== "" && existsSync(path));
}

/** Compiles `exerciser/*.c` to a program for any image. */
export async function buildExerciser(output: string): Promise<void> {
  const sources = [
    ...new Bun.Glob("*.c").scanSync({ cwd: join(import.meta.dir, "exerciser"), absolute: true }),
  ];
  const flags = ["-static", "-O2", "-s", "-Wall", "-Wextra", "-Werror"];
  await succeed(["musl-gcc", ...flags, ...sources, "-o", output]);
}
