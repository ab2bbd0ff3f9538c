import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Spec } from "../oci/runtime-spec.ts";
import { missingProgram } from "./missing-program.ts";

let root: string;

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "urunc-root-"));
  mkdirSync(join(root, "usr/bin"), { recursive: true });
  mkdirSync(join(root, "data"));
  writeFileSync(join(root, "usr/bin/tool"), "");
  symlinkSync("usr/bin", join(root, "bin"));
  symlinkSync("/usr/bin/tool", join(root, "usr/bin/alias"));
  symlinkSync("/data/tool", join(root, "usr/bin/of-volume"));
  symlinkSync("/nowhere", join(root, "usr/bin/broken"));
  symlinkSync("circle", join(root, "usr/bin/circle"));
  // What the host has, the container does not.
  symlinkSync("/../../../../../../../../etc/passwd", join(root, "usr/bin/outside"));
});

afterAll(() => rmSync(root, { recursive: true, force: true }));

function missing(name: string, change: Partial<Spec> = {}, env = ["PATH=/usr/local/bin:/bin"]) {
  const spec = { process: { args: [name], cwd: "/", env }, root: { path: root }, ...change };
  return missingProgram(spec as unknown as Spec, root);
}

test("a program that is nowhere in the PATH, in runc's words", () => {
  expect(missing("nosuch")).toBe(
    'unable to start container process: exec: "nosuch": executable file not found in $PATH',
  );
});

test("a path that is not there, absolute and relative", () => {
  const sentence = (name: string) =>
    `unable to start container process: exec: "${name}": stat ${name}: no such file or directory`;
  for (const name of ["/no/such", "./nosuch", "/usr/bin/broken", "/usr/bin/outside"])
    expect(missing(name)).toBe(sentence(name));
});

test("what is there is not missing: by links too, inside the root", () => {
  for (const name of ["tool", "/bin/tool", "usr/bin/alias", "/usr/bin", "/usr/../bin/tool"])
    expect(missing(name)).toBeUndefined();
});

test("what may be there is left to the guest", () => {
  const mounts = [{ destination: "/data", type: "bind", source: "/srv" }];
  for (const name of ["/data/tool", "/data", "/usr/bin/tool/below", "/usr/bin/of-volume", "/usr/bin/circle"])
    expect(missing(name, { mounts })).toBeUndefined();
  expect(missing("/usr/bin/of-volume")).toContain("no such file");
  // A mount point behind a link: it is at /usr/bin/extra.
  const behind = [{ destination: "/bin/extra", type: "bind", source: "/srv" }];
  expect(missing("/usr/bin/extra/tool", { mounts: behind })).toBeUndefined();
  expect(missing("nosuch", { hooks: { prestart: [{ path: "/bin/hook" }] } })).toBeUndefined();
  expect(missing("nosuch", {}, [])).toBeUndefined();
  expect(missing("")).toBeUndefined();
});
