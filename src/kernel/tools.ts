import { existsSync } from "node:fs";
import { UruncError } from "../errors.ts";

/** System directories beside the caller's: `kmod` is not in a user's PATH everywhere. */
export const TOOL_PATH = `${process.env["PATH"] ?? ""}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin`;

/** The first lines of what the compiler and the linker say of themselves: they decide what the kernel becomes. */
export interface Toolchain {
  gcc: string;
  ld: string;
}

/** What must be in the PATH, and Debian's package with it. */
const TOOLS: Record<string, string> = {
  make: "make",
  gcc: "gcc",
  ld: "binutils",
  strip: "binutils",
  flex: "flex",
  bison: "bison",
  bc: "bc",
  tar: "tar",
  xz: "xz-utils",
  zstd: "zstd",
  cpio: "cpio",
  kmod: "kmod",
  patch: "patch",
  flock: "util-linux",
  setpriv: "util-linux",
};

/** Headers that the kernel's own build tools include. */
const HEADERS: Record<string, string> = { "gelf.h": "libelf-dev", "openssl/ssl.h": "libssl-dev" };

/**
 * Checks that everything is there before minutes are spent.
 *
 * @throws UruncError `kernel-build`: one sentence that names all that is missing and the command that installs it
 */
export function checkTools(): void {
  const tools = Object.keys(TOOLS).filter((tool) => Bun.which(tool, { PATH: TOOL_PATH }) === null);
  const headers = tools.includes("gcc") ? [] : Object.keys(HEADERS).filter((header) => !hasHeader(header));
  // The C library's headers come with it, not with the compiler.
  const library = existsSync("/usr/include/stdio.h") || tools.includes("gcc") ? [] : ["stdio.h"];
  const missing = [...tools, ...library, ...headers];
  if (missing.length === 0) return;
  const packages = new Set(missing.map((name) => TOOLS[name] ?? HEADERS[name] ?? "libc6-dev"));
  if (tools.includes("gcc")) packages.add("libc6-dev");
  throw new UruncError(
    "kernel-build",
    `building a kernel needs ${missing.join(", ")}: apt-get install ${[...packages].join(" ")}`,
  );
}

/** Asks the compiler and the linker for their versions. */
export function readToolchain(): Toolchain {
  return { gcc: firstLine("gcc"), ld: firstLine("ld") };
}

function hasHeader(header: string): boolean {
  const check = Bun.spawnSync(["gcc", "-E", "-x", "c", "-o", "/dev/null", "-"], {
    stdin: new TextEncoder().encode(`#include <${header}>\n`),
    env: { PATH: TOOL_PATH, LC_ALL: "C" },
    stdout: "ignore",
    stderr: "ignore",
  });
  return check.exitCode === 0;
}

function firstLine(tool: string): string {
  const run = Bun.spawnSync([tool, "--version"], { env: { PATH: TOOL_PATH, LC_ALL: "C" }, stderr: "ignore" });
  const line = run.stdout.toString().split("\n")[0]?.trim() ?? "";
  if (run.exitCode !== 0 || line === "") {
    throw new UruncError("kernel-build", `${tool} --version fails: install ${TOOLS[tool]} again`);
  }
  return line;
}
