import { expect, test } from "bun:test";
import { UruncError } from "../errors.ts";
import { parseSpec } from "./runtime-spec.ts";

function minimal(): Record<string, unknown> {
  return {
    ociVersion: "1.0.2",
    process: { user: { uid: 0, gid: 0 }, args: ["/bin/true"], cwd: "/" },
    root: { path: "rootfs" },
  };
}

function filtered(seccomp: unknown): Record<string, unknown> {
  return { ...minimal(), linux: { seccomp } };
}

function sentence(spec: unknown): string {
  try {
    parseSpec(typeof spec === "string" ? spec : JSON.stringify(spec), "/b/config.json");
  } catch (error) {
    expect(error).toBeInstanceOf(UruncError);
    expect((error as UruncError).code).toBe("bundle-invalid");
    return (error as UruncError).message;
  }
  return "";
}

test("a minimal document is taken, and what is not known is kept", () => {
  const spec = parseSpec(JSON.stringify({ ...minimal(), "x-vendor": { kept: true } }), "/b/config.json");
  expect(spec["x-vendor"]).toEqual({ kept: true });
});

test("each wrong document is named by its file and field", () => {
  const process = minimal()["process"] as Record<string, unknown>;
  const cases: [spec: unknown, words: string][] = [
    ["{", "/b/config.json is not JSON"],
    ["[]", "is not a JSON object"],
    [{ ...minimal(), ociVersion: undefined }, "has no ociVersion"],
    [{ ...minimal(), ociVersion: "2.0.0" }, 'has ociVersion "2.0.0"'],
    [{ ...minimal(), process: undefined }, "has no process"],
    [{ ...minimal(), process: { ...process, args: [] } }, "args must not be empty"],
    [{ ...minimal(), process: { ...process, args: undefined } }, "args must not be empty"],
    [{ ...minimal(), process: { ...process, args: ["a\0b"] } }, "NUL character in process.args"],
    [{ ...minimal(), process: { ...process, args: "sh" } }, "process.args that is not a list"],
    [{ ...minimal(), process: { ...process, cwd: "relative" } }, "Cwd must be an absolute path"],
    [{ ...minimal(), process: { ...process, user: { uid: -1, gid: 0 } } }, "process.user.uid"],
    [{ ...minimal(), process: { ...process, user: { uid: 1.5, gid: 0 } } }, "process.user.uid"],
    [{ ...minimal(), root: undefined }, "has no root"],
    [{ ...minimal(), root: {} }, "has no root.path"],
    [{ ...minimal(), root: { path: "" } }, "has no root.path"],
    [{ ...minimal(), mounts: [{}] }, "has no mounts[0].destination"],
    [{ ...minimal(), linux: { resources: { memory: { limit: "64m" } } } }, "linux.resources.memory.limit"],
    [{ ...minimal(), hooks: { prestart: [{}] } }, "hooks.prestart[0].path"],
    [filtered([]), "linux.seccomp that is not an object"],
    [filtered({ defaultAction: 1 }), "linux.seccomp.defaultAction"],
    [filtered({ defaultErrnoRet: 65536 }), "defaultErrnoRet that is not a whole number from 0 to 65535"],
    [filtered({ architectures: [1] }), "linux.seccomp.architectures"],
    [filtered({ syscalls: [{ names: "read", action: "A" }] }), "linux.seccomp.syscalls[0].names"],
    [filtered({ syscalls: [{ names: ["read"] }] }), "has no linux.seccomp.syscalls[0].action"],
    [filtered({ syscalls: [{ action: "A", args: [{ index: 6 }] }] }), "args[0].index"],
    [filtered({ syscalls: [{ action: "A", args: [{ value: 1.5 }] }] }), "args[0].value"],
    [filtered({ syscalls: [{ action: "A", args: [{ valueTwo: 2 ** 64 }] }] }), "args[0].valueTwo"],
    [
      filtered({ syscalls: [{ action: "A", args: [{ value: 1 }] }] }),
      "has no linux.seccomp.syscalls[0].args[0].op",
    ],
  ];
  for (const [spec, words] of cases) expect(sentence(spec)).toContain(words);
});

test("null counts as absent, as it does for the engine", () => {
  expect(
    sentence({
      ...minimal(),
      hooks: null,
      linux: { namespaces: null, resources: null, seccomp: null },
      mounts: null,
    }),
  ).toBe("");
});

test("a process without a user is root's", () => {
  const spec = parseSpec(
    JSON.stringify({ ...minimal(), process: { args: ["x"], cwd: "/" } }),
    "/b/config.json",
  );
  expect(spec.process.user).toEqual({ uid: 0, gid: 0 });
});
