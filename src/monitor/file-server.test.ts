import { afterAll, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { dialectOf, type FileServer, fileServerArguments, findFileServer, shareWay } from "./file-server.ts";

const directory = realpathSync(mkdtempSync(join(tmpdir(), "urunc-server-")));
afterAll(() => rmSync(directory, { recursive: true }));

const server: FileServer = { program: "/usr/lib/qemu/virtiofsd", dialect: "qemu" };

test("virtiofs is the way where there is a server, else 9p, each with its reason", () => {
  expect(shareWay({ server })).toEqual({
    kind: "virtiofs",
    server,
    reason: "/usr/lib/qemu/virtiofsd is there",
  });
  const without = shareWay({ server: undefined });
  expect(without.kind).toBe("9p");
  expect(without.reason).toStartWith("there is no virtiofsd (/usr/lib/qemu/virtiofsd");
});

test("the configuration decides before that", () => {
  const nine = shareWay({ wanted: "9p", server });
  expect(nine).toEqual({ kind: "9p", reason: "monitors.qemu.share says so" });
  expect(shareWay({ wanted: "virtiofs", server }).kind).toBe("virtiofs");
});

test("virtiofs that is wanted and cannot be had is an error, not 9p", () => {
  expect(() => shareWay({ wanted: "virtiofs", server: undefined })).toThrow("virtiofsd is not installed");
});

test("a configured server is taken, its links resolved; what is no program is an error", () => {
  const program = join(directory, "virtiofsd");
  const link = join(directory, "link");
  writeFileSync(program, "…--socket-path…");
  symlinkSync("virtiofsd", link);
  expect(() => findFileServer(program)).toThrow("is not an absolute path of a program");
  chmodSync(program, 0o755);
  expect(findFileServer(link)).toEqual({ program, dialect: "qemu" });
  expect(() => findFileServer(join(directory, "none"))).toThrow(
    `the configured path of virtiofsd, ${join(directory, "none")}, is not`,
  );
});

test("the two programs are told apart by what is in them", () => {
  expect(dialectOf(Buffer.from("\x7fELF…socket-path…source=%s"))).toBe("qemu");
  expect(dialectOf(Buffer.from("\x7fELF…shared-dir…socket-path"))).toBe("rust");
});

test("QEMU's server: the whole command line", () => {
  expect(fileServerArguments(server, "/share", 3)).toEqual([
    "/usr/lib/qemu/virtiofsd",
    ...["-f", "--fd=3"],
    ...["-o", "source=/share"],
    ...["-o", "sandbox=chroot"],
    ...["-o", "cache=auto", "-o", "timeout=0"],
    ...["-o", "xattr", "-o", "posix_acl"],
    ...["-o", "no_posix_lock", "-o", "no_flock"],
    ...["-o", "no_readdirplus", "-o", "announce_submounts"],
    ...["-o", "log_level=err"],
    ...["--rlimit-nofile=0", "--thread-pool-size=0"],
  ]);
});

test("the server in Rust gets the same by other names", () => {
  const words = fileServerArguments({ program: "/usr/libexec/virtiofsd", dialect: "rust" }, "/share", 3);
  expect(words.slice(0, 4)).toEqual([
    "/usr/libexec/virtiofsd",
    "--fd=3",
    "--shared-dir=/share",
    "--sandbox=chroot",
  ]);
  expect(words).toContain("--announce-submounts");
  expect(words).toContain("--inode-file-handles=never");
  expect(words).not.toContain("-o");
});

test("options of the configuration go before ours", () => {
  const options = ["--cache", "always"];
  const words = fileServerArguments({ program: "/v", dialect: "rust", options }, "/share", 3);
  expect(words).not.toContain("--cache=auto");
  expect(words.slice(-2)).toEqual(options);
  expect(words).toContain("--shared-dir=/share");
  const qemu = fileServerArguments({ ...server, options: ["-o", "cache=always"] }, "/share", 3).join(" ");
  expect(qemu).not.toContain("cache=auto");
  expect(qemu).toEndWith("-o cache=always");
});
