import { existsSync } from "node:fs";
import { elapsed, fail, say } from "./terminal.ts";

/** Debian's packages by what needs them. */
const PACKAGES = {
  build: [
    ..."gcc libc6-dev make musl-tools linux-libc-dev binutils".split(" "),
    ..."linux-source-6.12 flex bison bc libelf-dev libssl-dev xz-utils zstd cpio kmod patch util-linux".split(
      " ",
    ),
  ],
  run: "qemu-system-x86 qemu-system-common runc iproute2 libseccomp2".split(" "),
  test: "docker.io containerd podman catatonit docker-registry openssl iptables procps dpkg tar e2fsprogs erofs-utils attr curl clang-14 libclang-rt-14-dev".split(
    " ",
  ),
} as const;

export type Purpose = keyof typeof PACKAGES;

/** Packages of Docker's own that apt would remove for Debian's. */
const CONFLICTING = ["docker-ce", "containerd.io"];

/** Seconds that the download and the installation of everything took on an ordinary line. */
const EXPECTED = "1:30";

/**
 * Installs Debian's packages that are missing. Ends the program with one message, which has the commands to run, where
 * that is not possible: no Debian, not root, or Docker's own packages in the way.
 */
export async function installDebianPackages(purposes: readonly Purpose[]): Promise<void> {
  const wanted = packagesFor(purposes);
  if (!isDebian()) {
    fail(
      "this is not Debian (/etc/debian_version is missing): install what these packages have with your system's own " +
        `tools, then run the parts by hand (see CONTRIBUTING.md): ${wanted.join(" ")}`,
    );
  }
  const installed = installedOf([...wanted, ...CONFLICTING]);
  const missing = wanted.filter((name) => !installed.has(name));
  if (missing.length === 0 && hasPackageLists()) return;
  if (process.geteuid?.() !== 0) {
    fail(`packages are missing and only root can install them; run:\n${installCommands(wanted)}`);
  }
  const conflict = CONFLICTING.find((name) => installed.has(name));
  if (conflict !== undefined && missing.some((name) => /^(docker\.io|containerd|runc)$/.test(name))) {
    fail(
      `${conflict} is installed, which apt would remove for Debian's docker.io, containerd and runc that are needed ` +
        `here: use a machine without it, or replace it yourself:\n${installCommands(wanted)}`,
    );
  }
  say(`Debian packages: installing ${missing.join(" ") || "the lists of packages"}, about ${EXPECTED}`);
  const began = performance.now();
  const timer = setInterval(() => say(`Debian packages: ${elapsed(began)} of about ${EXPECTED}`), 15_000);
  try {
    await apt(["update", "-qq"]);
    if (missing.length > 0) await apt(["install", "-y", "-qq", "--no-install-recommends", ...missing]);
  } finally {
    clearInterval(timer);
  }
  say(`Debian packages: installed in ${elapsed(began)}`);
}

/** Ends the program with one message if it is not run by root, who alone can make virtual machines' networks. */
export function requireRoot(what: string, purposes: readonly Purpose[]): void {
  if (process.geteuid?.() === 0) return;
  fail(
    `${what} makes network interfaces, mounts and control groups, which takes root; as root, or with sudo, run:\n` +
      `${installCommands(packagesFor(purposes))}\n  ${what}`,
  );
}

function packagesFor(purposes: readonly Purpose[]): string[] {
  return purposes.flatMap((purpose) => [...PACKAGES[purpose]]);
}

function installCommands(packages: readonly string[]): string {
  return `  apt-get update\n  apt-get install -y --no-install-recommends ${packages.join(" ")}`;
}

function isDebian(): boolean {
  return existsSync("/etc/debian_version") && Bun.which("apt-get") !== null;
}

/** Those of the names that are packages in place: a removed one's settings may have stayed. */
function installedOf(names: readonly string[]): Set<string> {
  // biome-ignore lint/suspicious/noTemplateCurlyInString: dpkg-query's own placeholders
  const format = "${Package} ${db:Status-Status}\n";
  const query = Bun.spawnSync(["dpkg-query", "--show", `--showformat=${format}`, ...names], {
    stderr: "ignore",
  });
  const lines = query.stdout.toString().split("\n");
  return new Set(lines.filter((line) => line.endsWith(" installed")).map((line) => line.split(" ")[0] ?? ""));
}

/** Images for tests are made of packages that apt must know. */
function hasPackageLists(): boolean {
  return [...new Bun.Glob("*_Packages*").scanSync("/var/lib/apt/lists")].length > 0;
}

async function apt(words: string[]): Promise<void> {
  const child = Bun.spawn(["apt-get", ...words], {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
  });
  const [output, errors, status] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  if (status !== 0) fail(`apt-get ${words.join(" ")} failed:\n${output}${errors}`.trimEnd());
}
