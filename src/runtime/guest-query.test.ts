import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ContainerDirectory } from "../container/directory.ts";
import { encodeFrame, FrameType } from "../guest/frame.ts";
import { askGuest, printable } from "./guest-query.ts";

let root: string;
let directory: ContainerDirectory;
let server: Server | undefined;
const here = process.cwd();

beforeEach(() => {
  // Longer than a socket's address may be.
  root = mkdtempSync(join(tmpdir(), "query-"));
  directory = new ContainerDirectory(join(root, "long".repeat(30)), "id");
  mkdirSync(directory.vm, { recursive: true });
});

afterEach(() => {
  server?.close();
  server = undefined;
  process.chdir(here);
  rmSync(root, { recursive: true });
});

const ask = () => askGuest(directory, { verb: "ps", argument: "" });
const control = (type: number, text = "") => encodeFrame(type, 7, new TextEncoder().encode(text));

/** A stand-in's place, taken by who does this to each that connects. */
async function listen(name: string, serve: (socket: Socket) => void): Promise<void> {
  const listener = createServer(serve);
  server = listener;
  process.chdir(directory.vm);
  await new Promise<void>((resolve) => listener.listen(name, resolve));
}

test("what a stand-in answers is given, over a path of any length", async () => {
  await listen("exec.sock", (socket) => {
    socket.write(encodeFrame(FrameType.DATA, 5, new TextEncoder().encode("an answer")));
    socket.write(control(FrameType.EXITED, "\0\0\0\0\0\0\0\0"));
  });
  expect(await ask()).toBe("an answer");
});

test("a sentence of the guest is one line that steers nothing", async () => {
  await listen("exec.sock", (socket) => {
    socket.write(control(FrameType.FAILED, "\x01\0\0\0not\n\x1b[2J now\u202e\0"));
  });
  await expect(ask()).rejects.toThrow("not [2J now");
  expect(printable("  a\r\n\tb\u0085c\u2028 ")).toBe("a b c");
});

test("where nothing listens the container's process is not running", async () => {
  await expect(ask()).rejects.toThrow("is not running");
  await listen("other.sock", () => {});
  await expect(ask()).rejects.toThrow("is not running");
});

test("a link or a file in the socket's place is not followed", async () => {
  let connections = 0;
  await listen("other.sock", () => {
    connections++;
  });
  symlinkSync("other.sock", join(directory.vm, "exec.sock"));
  await expect(ask()).rejects.toThrow(/socket .* is none|not running/);
  rmSync(join(directory.vm, "exec.sock"));
  writeFileSync(join(directory.vm, "exec.sock"), "");
  await expect(ask()).rejects.toThrow("is none");
  await Bun.sleep(20);
  expect(connections).toBe(0);
});

test("who hangs up, or speaks another protocol, is not waited for", async () => {
  await listen("exec.sock", (socket) => socket.end());
  await expect(ask()).rejects.toThrow("has ended");
  server?.close();
  rmSync(join(directory.vm, "exec.sock"), { force: true });
  await listen("exec.sock", (socket) => void socket.write("x".repeat(100)));
  await expect(ask()).rejects.toThrow("broke the protocol");
});
