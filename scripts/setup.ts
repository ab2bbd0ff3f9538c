import { existsSync, readFileSync } from "node:fs";
import { elapsed, fail, say } from "./terminal.ts";

/** Debian's packages by what needs them. */
const PACKAGES = {
  build: [
    ..."gcc libc6-dev make musl-tools linux-libc-dev binutils".split(" "),
    ..."linux-source-6.12 flex bison bc libelf-dev libssl-dev xz-utils zstd cpio kmod patch util-linux".split(
      " ",
    ),
  ],
  run: "qemu-system-x86 runc iproute2".split(" "),
  test: "docker.io containerd iptables procps dpkg tar e2fsprogs".split(" "),
} as const;

export type Purpose = keyof typeof PACKAGES;

/**
 * Installs Debian's packages that are missing. Ends the program with one message, which has the commands to run, where
 * that is not possible: no Debian, or not root.
 */
export async function installDebianPackages(purposes: readonly Purpose[]): Promise<void> {
  const wanted = purposes.flatMap((purpose) => [...PACKAGES[purpose]]);
  const install = `apt-get install -y --no-install-recommends ${wanted.join(" ")}`;
  if (!isDebian()) {
    fail(
      "this is not Debian (/etc/debian_version is missing): install what these packages have with your system's own " +
        `tools, then run the parts by hand (see CONTRIBUTING.md): ${wanted.join(" ")}`,
    );
  }
  const missing = wanted.filter((name) => !isInstalled(name));
  if (missing.length === 0) return;
  if (process.geteuid?.() !== 0) {
    fail(`packages are missing and only root can install them; run:\n  apt-get update\n  ${install}`);
  }
  say(`Debian packages: installing ${missing.join(" ")}; a minute or two`);
  const began = performance.now();
  const timer = setInterval(() => say(`Debian packages: ${elapsed(began)}`), 15_000);
  try {
    await apt(["update", "-qq"]);
    await apt(["install", "-y", "-qq", "--no-install-recommends", ...missing]);
  } finally {
    clearInterval(timer);
  }
  say(`Debian packages: installed in ${elapsed(began)}`);
}

/** Ends the program with one message if it is not run by root, who alone can make virtual machines' networks. */
export function requireRoot(what: string): void {
  if (process.geteuid?.() === 0) return;
  fail(
    `${what} makes network interfaces, mounts and control groups, which takes root: run it as root, or with sudo`,
  );
}

function isDebian(): boolean {
  return existsSync("/etc/debian_version") && Bun.which("apt-get") !== null;
}

function isInstalled(name: string): boolean {
  try {
    // Faster than asking dpkg for each; it writes this list when a package's files are in place.
    readFileSync(`/var/lib/dpkg/info/${name}.list`);
    return true;
  } catch {
    return existsSync(`/var/lib/dpkg/info/${name}:amd64.list`);
  }
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
