import { expect } from "bun:test";
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { BundleConfig } from "./bundle.ts";
import { type Containers, openContainers } from "./containers.ts";
import { type Call, type Runtime, runtimePath } from "./runtime.ts";

/** The call failed with one clear sentence that has all of `words`, for people and in the log that Docker reads. */
export function expectSentence(call: Call, words: readonly (string | RegExp)[]): void {
  const errors = call.log.filter(({ level }) => level === "error");
  const message = errors.at(-1)?.msg ?? "";
  for (const word of words) {
    expect(call.stderr).toMatch(word);
    expect(message).toMatch(word);
  }
  for (const text of [call.stderr, message]) {
    expect(text).not.toContain("internal error");
    expect(text).not.toMatch(/^\s+at /m);
  }
  expect(call.exitCode).toBe(1);
  expect(call.stdout).toBe("");
}

/** Calls `create` and `run` with a bundle; both refuse it in the same words and leave nothing. */
export async function expectRefused(
  containers: Containers,
  change: (config: BundleConfig) => void,
  words: readonly (string | RegExp)[],
  prepare: (directory: string) => void = () => {},
  env?: Record<string, string>,
): Promise<void> {
  for (const verb of ["create", "run"]) {
    const { id, bundle } = await containers.plan(["true"], change);
    prepare(bundle.directory);
    const call = await containers.runtime.call(
      [verb, "--bundle", bundle.directory, id],
      env === undefined ? {} : { env },
    );
    expectSentence(call, words);
    await containers.expectGone(id);
  }
}

/** An environment in which urunc reads this configuration. */
export function configured({ directory }: Runtime, toml: string): Record<string, string> {
  const path = join(directory, `config-${Bun.hash(toml).toString(36)}.toml`);
  writeFileSync(path, toml);
  return { ...(process.env as Record<string, string>), URUNC_CONFIG_FILE: path };
}

/** Containers whose runtime is called where a shell's commands have changed what is mounted; nobody else sees that. */
export function openContainersWhere(
  { directory }: Runtime,
  name: string,
  commands: string,
): Promise<Containers> {
  const program = join(directory, name);
  const script = [
    "#!/bin/sh",
    "set -e",
    'if [ "$1" != inside ]; then exec unshare --mount --propagation private "$0" inside "$@"; fi',
    "shift",
    commands,
    `exec ${runtimePath} "$@"`,
    "",
  ];
  writeFileSync(program, script.join("\n"));
  chmodSync(program, 0o755);
  return openContainers("busybox", program);
}
