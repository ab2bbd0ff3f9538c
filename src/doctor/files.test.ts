import { expect, test } from "bun:test";
import type { FileServer } from "../monitor/file-server.ts";
import { judgeShare } from "./files.ts";

const server: FileServer = { program: "/usr/libexec/virtiofsd", dialect: "rust" };
const FACTS = { server, version: "1.13.0", wanted: undefined, caller: "root" } as const;

test("a server is named with its kind and version", () => {
  expect(judgeShare(FACTS)).toEqual({
    what: "virtiofsd",
    state: "ok",
    found: "/usr/libexec/virtiofsd, the one in Rust, version 1.13.0",
  });
});

test("without one, or where 9p is wanted, it is said what is lost", () => {
  expect(judgeShare({ ...FACTS, server: undefined })).toMatchObject({
    state: "less",
    found: expect.stringContaining("without FIFOs"),
    remedy: expect.stringContaining("apt-get install virtiofsd"),
  });
  expect(judgeShare({ ...FACTS, wanted: "9p" })).toMatchObject({
    state: "less",
    found: expect.stringContaining("monitors.qemu.share says so"),
  });
});

test("virtiofs that is wanted and cannot be had is an error; without root it is not asked for", () => {
  expect(() => judgeShare({ ...FACTS, server: undefined, wanted: "virtiofs" })).toThrow(
    "virtiofsd is not installed",
  );
  expect(judgeShare({ ...FACTS, server: undefined, caller: "user" }).state).toBe("ok");
});
