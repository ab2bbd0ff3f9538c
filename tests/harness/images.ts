import {
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { command, succeed } from "./command.ts";

/** The images of the tests. */
export type ImageName = "redis" | "nginx" | "busybox" | "echo" | "debian" | "toolchain";

/** An image on disk. */
export interface Image {
  /** A docker-archive: `docker load` takes it. */
  readonly archive: string;
  /** What the image is called once it is loaded. */
  readonly reference: string;
}

/** How an image is made. */
interface Recipe {
  /** Packages of Debian 12, whole: nothing is added for what they depend on. */
  readonly packages: readonly string[];
  /** Packages of further layers, with what those need that the first has. */
  readonly layers?: readonly (readonly string[])[];
  /** Files of this repository that go into it. */
  readonly sources?: readonly string[];
  /** The image's `config`. */
  readonly config: Readonly<Record<string, unknown>>;
  /** Changes the unpacked root. */
  readonly finish?: (rootfs: string) => void | Promise<void>;
}

const PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const LOADER = "/lib64/ld-linux-x86-64.so.2";
const ECHO_SOURCE = join(import.meta.dir, "echo-server.c");

/** Nobody reads them in a test, and they are half of an image. */
const LEFT_OUT = ["doc", "info", "lintian", "locale", "man"].map((name) => `./usr/share/${name}`);

const LIBC = ["libc6", "libgcc-s1"];
const LIBSYSTEMD = [
  "libcap2",
  "libgcrypt20",
  "libgpg-error0",
  "liblz4-1",
  "liblzma5",
  "libsystemd0",
  "libzstd1",
];
const LIBCURL = [
  ...["libbrotli1", "libcom-err2", "libcurl4", "libffi8", "libgnutls30", "libgssapi-krb5-2", "libhogweed6"],
  ...[
    "libidn2-0",
    "libk5crypto3",
    "libkeyutils1",
    "libkrb5-3",
    "libkrb5support0",
    "libldap-2.5-0",
    "libnettle8",
  ],
  ...[
    "libnghttp2-14",
    "libp11-kit0",
    "libpsl5",
    "librtmp1",
    "libsasl2-2",
    "libssh2-1",
    "libssl3",
    "libtasn1-6",
  ],
  ...["libunistring2"],
];

const DEBIAN = [
  ...["base-files", "bash", "coreutils", "curl", "dash", "findutils", "grep", "gzip", "hostname"],
  ...["iproute2", "iputils-ping", "libc-bin", "mawk", "mount", "ncurses-base", "ncurses-bin", "netbase"],
  ...["procps", "sed", "tar", "util-linux"],
  ...[...LIBC, ...LIBSYSTEMD, ...LIBCURL],
  ...["libacl1", "libattr1", "libaudit1", "libblkid1", "libbpf1", "libbsd0", "libcap-ng0", "libcap2-bin"],
  ...["libcrypt1", "libdb5.3", "libelf1", "libgmp10", "libmd0", "libmnl0", "libmount1", "libncursesw6"],
  ...["libpam0g", "libpcre2-8-0", "libproc2-0", "libselinux1", "libsmartcols1", "libtinfo6", "libtirpc3"],
  ...["libudev1", "libuuid1", "libxtables12", "zlib1g"],
];

const RECIPES: Readonly<Record<ImageName, Recipe>> = {
  busybox: {
    packages: ["busybox-static"],
    config: { Env: [PATH], Cmd: ["sh"] },
    async finish(rootfs) {
      await succeed(["chroot", rootfs, "/bin/busybox", "--install", "-s", "/bin"]);
    },
  },
  debian: {
    packages: DEBIAN,
    config: { Env: [PATH], Cmd: ["bash"] },
    async finish(rootfs) {
      symlinkSync("mawk", join(rootfs, "usr/bin/awk"));
      await succeed(["chroot", rootfs, "ldconfig"]);
      // Inode numbers of the place where it was made.
      rmSync(join(rootfs, "var/cache/ldconfig"), { recursive: true });
    },
  },
  // As large as images that people work in: 390 MB in three layers.
  toolchain: {
    packages: DEBIAN,
    layers: [
      [
        ...["git", "libperl5.36", "libpython3.11-minimal", "libpython3.11-stdlib", "perl-base"],
        ...["perl-modules-5.36", "python3.11", "python3.11-minimal"],
      ],
      [
        ...["binutils-x86-64-linux-gnu", "cpp-12", "g++-12", "gcc-12", "libbinutils", "libc6-dev"],
        ...["libgcc-12-dev", "libstdc++-12-dev", "linux-libc-dev"],
      ],
    ],
    config: { Env: [PATH], Cmd: ["bash"] },
  },
  redis: {
    packages: [
      ...["redis-server", "redis-tools", ...LIBC, ...LIBSYSTEMD],
      ...["libatomic1", "libjemalloc2", "liblzf1", "libssl3", "libstdc++6"],
    ],
    config: {
      Env: [PATH],
      User: "redis",
      WorkingDir: "/data",
      ExposedPorts: { "6379/tcp": {} },
      // The minus: an address that a container does not have is no error.
      Cmd: ["redis-server", "--bind", "0.0.0.0", "-::", "--protected-mode", "no", "--save", ""],
    },
    finish(rootfs) {
      mkdirSync(join(rootfs, "data"));
      chownSync(join(rootfs, "data"), 999, 999);
    },
  },
  nginx: {
    packages: ["nginx", "nginx-common", ...LIBC, "libcrypt1", "libpcre2-8-0", "libssl3", "zlib1g"],
    config: { Env: [PATH], ExposedPorts: { "80/tcp": {} }, Cmd: ["nginx"], StopSignal: "SIGQUIT" },
    finish(rootfs) {
      write(rootfs, "etc/nginx/nginx.conf", NGINX_CONFIGURATION);
      write(
        rootfs,
        "var/www/html/index.html",
        "<!DOCTYPE html>\n<title>Test</title>\n<h1>Welcome to nginx!</h1>\n",
      );
    },
  },
  echo: {
    packages: [],
    sources: [ECHO_SOURCE],
    config: { Entrypoint: ["/echo-server"], ExposedPorts: { "8080/tcp": {} } },
    async finish(rootfs) {
      await succeed(["musl-gcc", "-static", "-O2", "-s", ECHO_SOURCE, "-o", join(rootfs, "echo-server")]);
    },
  },
};

const NGINX_CONFIGURATION = `daemon off;
user www-data;
worker_processes 1;
pid /run/nginx.pid;
error_log stderr;
events {
  worker_connections 512;
}
http {
  include mime.types;
  access_log /dev/stdout;
  server {
    listen 80;
    listen [::]:80;
    root /var/www/html;
  }
}
`;

const PASSWD = `root:x:0:0:root:/root:/bin/sh
daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin
bin:x:2:2:bin:/bin:/usr/sbin/nologin
www-data:x:33:33:www-data:/var/www:/usr/sbin/nologin
redis:x:999:999:redis:/data:/usr/sbin/nologin
user:x:1000:1000:user:/home/user:/bin/sh
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
`;

const GROUP = `root:x:0:
daemon:x:1:
bin:x:2:
adm:x:4:
tty:x:5:
disk:x:6:
www-data:x:33:
users:x:100:user
redis:x:999:
user:x:1000:
nogroup:x:65534:
`;

const ensured = new Map<ImageName, Promise<Image>>();
let allHashes: Promise<Map<string, string>> | undefined;

/**
 * Makes an image from the packages that apt has now, unless it is in the user's cache. Root only; any number of
 * processes may ask at once.
 */
export function ensureImage(name: ImageName): Promise<Image> {
  let image = ensured.get(name);
  if (image === undefined) {
    image = findOrBuild(name);
    ensured.set(name, image);
  }
  return image;
}

async function findOrBuild(name: ImageName): Promise<Image> {
  const recipe = RECIPES[name];
  const reference = `urunc-test/${name}:latest`;
  const key = new Bun.CryptoHasher("sha256");
  // This file is the recipe.
  for (const source of [import.meta.path, ...(recipe.sources ?? [])]) key.update(readFileSync(source));
  const packages = packagesOf(recipe);
  if (packages.length > 0) {
    allHashes ??= packageHashes();
    const hashes = await allHashes;
    key.update(JSON.stringify(packages.map((name) => hashes.get(name))));
  }

  const cache = join(process.env["XDG_CACHE_HOME"] || join(homedir(), ".cache"), "urunc/images");
  const archive = join(cache, `${name}-${key.digest("hex").slice(0, 16)}.tar`);
  if (existsSync(archive)) return { archive, reference };

  mkdirSync(cache, { recursive: true });
  removeOld(cache, name);
  const directory = mkdtempSync(join(cache, `.${name}-`));
  try {
    const rootfs = join(directory, "rootfs");
    if (recipe.packages.length > 0) await unpackPackages(recipe.packages, directory, rootfs);
    else mkdirSync(rootfs);
    chmodSync(rootfs, 0o755);
    await recipe.finish?.(rootfs);
    await checkLibraries(name, rootfs);
    const roots = [rootfs];
    for (const [index, layer] of (recipe.layers ?? []).entries()) {
      const place = join(directory, `layer-${index + 1}`);
      mkdirSync(place);
      await unpackPackages(layer, place, join(place, "rootfs"));
      roots.push(join(place, "rootfs"));
    }
    // Of two processes that make the same at once, either's is as good.
    renameSync(await pack(directory, roots, reference, recipe.config), archive);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
  return { archive, reference };
}

function packagesOf({ packages, layers = [] }: Recipe): string[] {
  return [...packages, ...layers.flat()];
}

/** Removes what an earlier recipe made and what killed processes left; not if another process may be at it. */
function removeOld(cache: string, name: ImageName): void {
  for (const entry of readdirSync(cache)) {
    if (!entry.startsWith(`${name}-`) && !entry.startsWith(`.${name}-`)) continue;
    const path = join(cache, entry);
    const status = statSync(path, { throwIfNoEntry: false });
    if (status !== undefined && Date.now() - status.mtimeMs > 3_600_000) {
      rmSync(path, { recursive: true, force: true });
    }
  }
}

/** What apt would download now for each package of all recipes: apt takes as long for one. */
async function packageHashes(): Promise<Map<string, string>> {
  const packages = [...new Set(Object.values(RECIPES).flatMap(packagesOf))];
  const { stdout, stderr } = await command(["apt-cache", "show", "--no-all-versions", ...packages]);
  const hashes = new Map<string, string>();
  for (const record of stdout.split("\n\n")) {
    const name = /^Package: (.*)$/m.exec(record)?.[1];
    const hash = /^SHA256: (.*)$/m.exec(record)?.[1];
    if (name !== undefined && hash !== undefined) hashes.set(name, hash);
  }
  const missing = packages.filter((name) => !hashes.has(name));
  if (missing.length > 0) {
    throw new Error(`apt does not know ${missing.join(" ")}: run "apt-get update"\n${stderr}`);
  }
  return hashes;
}

async function unpackPackages(packages: readonly string[], directory: string, rootfs: string): Promise<void> {
  const downloads = join(directory, "packages");
  mkdirSync(downloads);
  // The directory is root's: apt's own user cannot write to it.
  const download = ["apt-get", "download", "--quiet", "-o", "APT::Sandbox::User=root", ...new Set(packages)];
  if ((await command(download, { cwd: downloads })).exitCode !== 0) {
    // Debian keeps a package only until its next version: the lists may be older than that.
    await succeed(["apt-get", "update", "--quiet"]);
    await succeed(download, { cwd: downloads });
  }
  for (const name of ["bin", "sbin", "lib", "lib64"]) {
    mkdirSync(join(rootfs, "usr", name), { recursive: true });
    symlinkSync(`usr/${name}`, join(rootfs, name));
  }
  // The links made above stay: other than dpkg, tar would put a directory in the place of each.
  const unpack = 'dpkg-deb --fsys-tarfile "$1" | { shift; tar -xp --keep-directory-symlink "$@"; }';
  const options = ["-C", rootfs, ...LEFT_OUT.map((path) => `--exclude=${path}`)];
  for (const file of readdirSync(downloads)) {
    await succeed(["bash", "-o", "pipefail", "-c", unpack, "unpack", join(downloads, file), ...options]);
  }

  for (const name of ["dev", "etc", "home", "proc", "root", "run", "sys", "tmp", "var/tmp"]) {
    mkdirSync(join(rootfs, name), { recursive: true });
  }
  chmodSync(join(rootfs, "root"), 0o700);
  for (const name of ["tmp", "var/tmp"]) chmodSync(join(rootfs, name), 0o1777);
  write(rootfs, "etc/passwd", PASSWD);
  write(rootfs, "etc/group", GROUP);
  write(rootfs, "etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n");
  mkdirSync(join(rootfs, "home/user"));
  chownSync(join(rootfs, "home/user"), 1000, 1000);
}

/** A recipe that lacks a library's package must fail here, not in the test that needs the program. */
async function checkLibraries(name: ImageName, rootfs: string): Promise<void> {
  if (!existsSync(join(rootfs, "usr/lib64/ld-linux-x86-64.so.2"))) return;
  for (const directory of ["usr/bin", "usr/sbin"]) {
    for (const file of readdirSync(join(rootfs, directory), { withFileTypes: true })) {
      if (!file.isFile() || !isElf(join(rootfs, directory, file.name))) continue;
      const result = await command(["chroot", rootfs, LOADER, "--list", `/${directory}/${file.name}`]);
      const missing = result.stdout.split("\n").filter((line) => line.includes("not found"));
      if (missing.length > 0 || /not found|cannot open/.test(result.stderr)) {
        throw new Error(`image ${name}: ${file.name}: ${missing.join(" ")} ${result.stderr}`);
      }
    }
  }
}

function isElf(path: string): boolean {
  const start = Buffer.alloc(4);
  const file = openSync(path, "r");
  readSync(file, start, 0, 4, 0);
  closeSync(file);
  return start.toString("latin1") === "\x7fELF";
}

/** Makes the docker-archive of a layer of each root; the same roots give the same bytes. */
async function pack(
  directory: string,
  roots: readonly string[],
  reference: string,
  config: Recipe["config"],
): Promise<string> {
  const tar = ["tar", "--create", "--format=gnu", "--numeric-owner", "--sort=name", "--mtime=@0"];
  const contents = join(directory, "archive");
  mkdirSync(contents);
  const names = roots.map((_, index) => (index === 0 ? "layer.tar" : `layer-${index + 1}.tar`));
  const digests: string[] = [];
  for (const [index, name] of names.entries()) {
    const layer = join(contents, name);
    await succeed([...tar, "--file", layer, "-C", roots[index] as string, "."]);
    const hash = new Bun.CryptoHasher("sha256");
    for await (const chunk of Bun.file(layer).stream()) hash.update(chunk);
    digests.push(`sha256:${hash.digest("hex")}`);
  }
  const created = "1970-01-01T00:00:00Z";
  const image = {
    architecture: "amd64",
    os: "linux",
    created,
    config,
    rootfs: { type: "layers", diff_ids: digests },
    history: names.map(() => ({ created, created_by: "tests/harness/images.ts" })),
  };
  writeFileSync(join(contents, "config.json"), JSON.stringify(image));
  writeFileSync(
    join(contents, "manifest.json"),
    JSON.stringify([{ Config: "config.json", RepoTags: [reference], Layers: names }]),
  );
  const archive = join(directory, "archive.tar");
  await succeed([...tar, "--file", archive, "-C", contents, "manifest.json", "config.json", ...names]);
  return archive;
}

function write(rootfs: string, path: string, text: string): void {
  mkdirSync(dirname(join(rootfs, path)), { recursive: true });
  writeFileSync(join(rootfs, path), text);
}
