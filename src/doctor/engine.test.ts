import { expect, test } from "bun:test";
import { judgeEngine, judgeLibseccomp } from "./engine.ts";

test("an engine is named with its kind and version", () => {
  expect(judgeEngine("/usr/sbin/runc", "runc version 1.1.5+ds1\ncommit: x\n")).toMatchObject({
    state: "ok",
    found: "/usr/sbin/runc, runc 1.1.5+ds1",
  });
  expect(judgeEngine("/usr/bin/crun", "crun version 1.8.1\n").found).toContain(
    "crun 1.8.1; only runc is verified",
  );
});

test("what is no engine is none", () => {
  for (const said of [undefined, "", "true (GNU coreutils) 9.1\n"]) {
    expect(judgeEngine("/bin/true", said)).toMatchObject({
      state: "not",
      remedy: expect.stringContaining("runc"),
    });
  }
});

test("libseccomp that is missing is named by its package", () => {
  expect(judgeLibseccomp("2.5.4")).toMatchObject({ state: "ok", found: "version 2.5.4" });
  expect(judgeLibseccomp(undefined)).toMatchObject({ state: "not", remedy: "apt-get install libseccomp2" });
});
