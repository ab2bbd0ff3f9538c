import { cpSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { buildInitramfs } from "../src/image/initramfs.ts";
import { fail, say } from "./terminal.ts";

export const ROOT = join(import.meta.dir, "..");
const BIN = join(ROOT, "dist/bin");
const LIBEXEC = join(ROOT, "dist/libexec/urunc");
const SHARE = join(ROOT, "dist/share/urunc");
const NAMES = ["bunny", "containerd-shim-urunc-v2"];

/** Makes everything in `dist/`: the executable, the C programs, the guest's kernel and initramfs. */
export async function makeDist(): Promise<void> {
  mkdirSync(BIN, { recursive: true });
  mkdirSync(SHARE, { recursive: true });
  await run("the C programs", [
    ...["make", "-s", "-C", join(ROOT, "native")],
    ...[`OUT=${SHARE}`, `BUILD=${join(ROOT, "build/native")}`],
  ]);
  put(join(SHARE, "initramfs.cpio"), buildInitramfs({ urunit: readFileSync(join(SHARE, "urunit")) }));
  await compile();
  rmSync(join(SHARE, "kernel"), { recursive: true, force: true });
  cpSync(join(ROOT, "kernel"), join(SHARE, "kernel"), { recursive: true });
  await run("the kernel", [join(BIN, "bunny"), "kernel", "build", "--output", SHARE], "inherit");
}

/** One executable, and a link for each further name. */
async function compile(): Promise<void> {
  const made = join(ROOT, "build/urunc");
  mkdirSync(join(ROOT, "build"), { recursive: true });
  await run("the executable", [
    ...[process.execPath, "build", "--compile", "--bytecode", "--minify"],
    ...["--no-compile-autoload-dotenv", "--no-compile-autoload-bunfig"],
    ...[`--outfile=${made}`, join(ROOT, "src/main.ts")],
  ]);
  // The name is replaced in one go: who runs it meanwhile has the old one or the new one.
  renameSync(made, join(BIN, "urunc"));
  for (const name of NAMES) putLink("urunc", join(BIN, name));
  mkdirSync(LIBEXEC, { recursive: true });
  // By what containerd's shim calls the runtime.
  putLink("../../bin/urunc", join(LIBEXEC, "runc"));
}

function putLink(target: string, path: string): void {
  rmSync(path, { force: true });
  symlinkSync(target, path);
}

function put(path: string, bytes: Uint8Array): void {
  writeFileSync(`${path}.new`, bytes);
  renameSync(`${path}.new`, path);
}

async function run(what: string, argv: string[], errors: "pipe" | "inherit" = "pipe"): Promise<void> {
  const child = Bun.spawn(argv, { cwd: ROOT, stdin: "ignore", stdout: "pipe", stderr: errors });
  const [output, complaint, status] = await Promise.all([
    new Response(child.stdout).text(),
    errors === "pipe" ? new Response(child.stderr as ReadableStream).text() : "",
    child.exited,
  ]);
  if (status !== 0) fail(`${what} cannot be built:\n${output}${complaint}`.trimEnd());
  say(`${what}: built`);
}
