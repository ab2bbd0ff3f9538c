import { afterEach, beforeEach, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { dockerCredentials } from "./credentials.ts";

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "bunny-credentials-"));
});
afterEach(() => rmSync(directory, { recursive: true }));

function credentials(configuration: unknown) {
  const text = typeof configuration === "string" ? configuration : JSON.stringify(configuration);
  writeFileSync(join(directory, "config.json"), text);
  return dockerCredentials({ DOCKER_CONFIG: directory, PATH: `${directory}:${process.env["PATH"]}` });
}

function helper(name: string, script: string): void {
  const path = join(directory, `docker-credential-${name}`);
  writeFileSync(path, `#!/bin/sh\n${script}\n`);
  chmodSync(path, 0o755);
}

const auth = (text: string) => ({ auth: Buffer.from(text).toString("base64") });

test("without a file there are none", async () => {
  expect(await dockerCredentials({ DOCKER_CONFIG: directory })("a.example")).toBeUndefined();
});

test("docker login's are found by host, by URL, and for Docker Hub", async () => {
  const source = credentials({
    auths: {
      "a.example:5000": auth("user:pass:word"),
      "https://b.example/v1/": auth("b:b"),
      "https://index.docker.io/v1/": auth("hub:secret"),
      "c.example": { identitytoken: "token", ...auth("<token>:") },
    },
  });
  expect(await source("a.example:5000")).toEqual({ kind: "password", user: "user", password: "pass:word" });
  expect(await source("b.example")).toEqual({ kind: "password", user: "b", password: "b" });
  expect(await source("docker.io")).toEqual({ kind: "password", user: "hub", password: "secret" });
  expect(await source("c.example")).toEqual({ kind: "identity-token", token: "token" });
  expect(await source("a.example")).toBeUndefined();
  expect(await source("toString")).toBeUndefined();
});

test("a helper is asked, by host or for all", async () => {
  helper(
    "one",
    `read host; echo "{\\"ServerURL\\":\\"$host\\",\\"Username\\":\\"$1\\",\\"Secret\\":\\"$host\\"}"`,
  );
  helper("two", `echo '{"Username":"<token>","Secret":"s"}'`);
  helper("none", "echo 'credentials not found in native keychain'; exit 1");
  const source = credentials({ credHelpers: { "a.example": "one", "n.example": "none" }, credsStore: "two" });
  expect(await source("a.example")).toEqual({ kind: "password", user: "get", password: "a.example" });
  expect(await source("b.example")).toEqual({ kind: "identity-token", token: "s" });
  expect(await source("n.example")).toBeUndefined();
});

test("what is wrong is said, and never a secret", async () => {
  helper("broken", "echo 'the keychain is locked'; exit 2");
  helper("noise", "echo secret");
  const failures: [unknown, string][] = [
    ["{ secret", "is not JSON"],
    [{ auths: { "a.example": auth("secret") } }, "no user:password"],
    [{ credsStore: "broken" }, "the keychain is locked"],
    [{ credsStore: "noise" }, "not JSON"],
    [{ credsStore: "missing" }, "docker-credential-missing, which is not in the PATH"],
    [{ credsStore: "../x" }, "no program's name"],
  ];
  for (const [configuration, why] of failures) {
    const error = await credentials(configuration)("a.example").catch((caught: Error) => caught);
    expect((error as Error).message).toContain(why);
    expect((error as Error).message).not.toContain("secret");
  }
});
