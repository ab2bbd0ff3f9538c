import { readFileSync, realpathSync } from "node:fs";
import { UruncError } from "../errors.ts";
import { isProgram } from "../find-program.ts";
import { withOptions } from "./file-server-options.ts";

/** A virtiofsd: the program that serves files to a machine by virtiofs. */
export interface FileServer {
  /** Absolute, links resolved. */
  readonly program: string;
  /** Whose options it takes: those of QEMU's own, in C, which ended with QEMU 7.2, or of the one in Rust. */
  readonly dialect: "qemu" | "rust";
  /** In the place of ours, or besides. */
  readonly options?: readonly string[];
}

/** How the container's files reach the guest, and why so: the end of a sentence. */
export type ShareWay =
  /** `owners` is "one" where all files that are made become the caller's: nobody else can be given any. */
  | { readonly kind: "9p"; readonly owners?: "one"; readonly reason: string }
  | { readonly kind: "virtiofs"; readonly server: FileServer; readonly reason: string }
  /** The monitor shares none: a few are copied into what the guest boots from. */
  | { readonly kind: "initramfs"; readonly reason: string };

/** Of distributions: Debian 12 (QEMU's own), Debian 13 and Fedora, Arch. */
const PLACES = ["/usr/lib/qemu/virtiofsd", "/usr/libexec/virtiofsd", "/usr/lib/virtiofsd"];

/**
 * virtiofs where there is a virtiofsd, since it can do what QEMU's 9p server cannot (`docs/monitors.md`), unless the
 * configuration wants the other.
 *
 * @throws UruncError `monitor-missing`: virtiofs is wanted, and nothing serves it
 */
export function shareWay({
  wanted,
  server,
}: {
  wanted?: "virtiofs" | "9p" | undefined;
  server: FileServer | undefined;
}): ShareWay {
  if (wanted === "9p") return { kind: "9p", reason: "monitors.qemu.share says so" };
  if (server !== undefined) return { kind: "virtiofs", server, reason: `${server.program} is there` };
  if (wanted === undefined) return { kind: "9p", reason: `there is no virtiofsd (${PLACES.join(", ")})` };
  throw new UruncError(
    "monitor-missing",
    'monitors.qemu.share is "virtiofs" and virtiofsd is not installed: install it, name it in ' +
      'extra_binaries.virtiofsd.path, or set monitors.qemu.share to "9p"',
  );
}

/**
 * Looks for a virtiofsd: the one configured, else where distributions put it; undefined if there is none.
 *
 * @throws UruncError `monitor-missing`: the one configured is no program
 */
export function findFileServer(configured?: string, options: readonly string[] = []): FileServer | undefined {
  if (configured !== undefined && !isProgram(configured)) {
    throw new UruncError(
      "monitor-missing",
      `the configured path of virtiofsd, ${configured}, is not an absolute path of a program`,
    );
  }
  const path = configured ?? PLACES.find(isProgram);
  if (path === undefined) return undefined;
  const program = realpathSync(path);
  const dialect = dialectOf(readFileSync(program));
  return { program, dialect, ...(options.length === 0 ? {} : { options }) };
}

/** By the option that only one of them has: their places say nothing, and to run it would take longer. */
export function dialectOf(program: Uint8Array): FileServer["dialect"] {
  return Buffer.from(program.buffer, program.byteOffset, program.length).includes("shared-dir")
    ? "rust"
    : "qemu";
}

/** What a server does besides what it is for. */
const COMMON = [
  // The program's own limit is the sandbox's.
  "--rlimit-nofile=0",
  // Requests are served in turn: to hand each to another thread takes longer than most of them.
  "--thread-pool-size=0",
];

/**
 * The server's arguments, the first is the program.
 *
 * Attributes and names are kept for no time, so that what the host changes is seen at the next look, and a page only
 * until its file is opened again or looks different. Locks are the guest's own. Of the sandboxes of its own it takes the
 * one that needs no CAP_SYS_ADMIN: its root becomes the exported directory.
 *
 * @param listenFd descriptor of the unix socket on which it waits for the monitor
 */
export function fileServerArguments(server: FileServer, directory: string, listenFd: number): string[] {
  const given = server.options ?? [];
  if (server.dialect === "rust") {
    // virtiofsd 1.14.
    const own = [
      `--fd=${listenFd}`,
      `--shared-dir=${directory}`,
      "--sandbox=chroot",
      "--cache=auto",
      "--xattr",
      "--posix-acl",
      "--announce-submounts",
      // By handles it would need CAP_DAC_READ_SEARCH, which opens any file of a file system by its number.
      "--inode-file-handles=never",
      "--no-readdirplus",
      "--log-level=error",
      ...COMMON,
    ];
    return [server.program, ...withOptions(own, given)];
  }
  const options = [
    `source=${directory}`,
    "sandbox=chroot",
    "cache=auto",
    "timeout=0",
    "xattr",
    "posix_acl",
    "no_posix_lock",
    "no_flock",
    // What a directory's entries are would be asked for again anyhow.
    "no_readdirplus",
    // Mounts in the share have inode numbers of their own, which must not collide.
    "announce_submounts",
    "log_level=err",
  ];
  const own = ["-f", `--fd=${listenFd}`, ...options.flatMap((option) => ["-o", option]), ...COMMON];
  return [server.program, ...withOptions(own, given)];
}

/**
 * What a server needs: the first line to act for the guest's users, the second to give up the rest and to make the
 * exported directory its root; it drops those itself before it serves.
 */
export const FILE_SERVER_CAPABILITIES: readonly string[] = [
  ...[
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_MKNOD",
    "CAP_SETFCAP",
  ],
  ...["CAP_SETPCAP", "CAP_SYS_CHROOT"],
];
