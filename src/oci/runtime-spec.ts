import { UruncError } from "../errors.ts";
import { parseExactly } from "./exact-json.ts";
import { checkSeccomp, type Seccomp } from "./seccomp.ts";

/**
 * The parts of the OCI runtime specification's `config.json` that decide what the virtual machine is. Everything
 * else of a document is kept as it came (`[key: string]: unknown`) and handed on where the engine is the one to
 * judge it. Source: opencontainers/runtime-spec v1.0.2, `config.md` and `config-linux.md`.
 */
export interface Spec {
  ociVersion: string;
  process: Process;
  root: { path: string; readonly?: boolean };
  hostname?: string;
  domainname?: string;
  mounts?: Mount[];
  hooks?: Record<string, Hook[]>;
  annotations?: Record<string, string>;
  linux?: Linux;
  [key: string]: unknown;
}

export interface Process {
  terminal?: boolean;
  consoleSize?: { height: number; width: number };
  user: User;
  args: string[];
  env?: string[];
  cwd: string;
  capabilities?: Partial<Record<CapabilitySet, string[]>>;
  rlimits?: { type: string; soft: number; hard: number }[];
  noNewPrivileges?: boolean;
  oomScoreAdj?: number;
  [key: string]: unknown;
}

export type CapabilitySet = "bounding" | "effective" | "inheritable" | "permitted" | "ambient";

export interface User {
  uid: number;
  gid: number;
  umask?: number;
  additionalGids?: number[];
}

export interface Mount {
  destination: string;
  type?: string;
  source?: string;
  options?: string[];
}

export interface Hook {
  path: string;
  args?: string[];
  env?: string[];
  timeout?: number;
}

export interface Linux {
  namespaces?: { type: string; path?: string }[];
  devices?: Device[];
  cgroupsPath?: string;
  resources?: Resources;
  sysctl?: Record<string, string>;
  maskedPaths?: string[];
  readonlyPaths?: string[];
  seccomp?: Seccomp;
  [key: string]: unknown;
}

export interface Device {
  path: string;
  type: string;
  major?: number;
  minor?: number;
  fileMode?: number;
  uid?: number;
  gid?: number;
}

export interface Resources {
  memory?: { limit?: number; reservation?: number; swap?: number; [key: string]: unknown };
  cpu?: { quota?: number; period?: number; shares?: number; cpus?: string; [key: string]: unknown };
  pids?: { limit?: number };
  devices?: unknown[];
  [key: string]: unknown;
}

type Json = Record<string, unknown>;

/**
 * Parses and validates the text of a `config.json`.
 *
 * @param text the file's text
 * @param path where it came from, for the sentence
 * @throws UruncError `bundle-invalid`: not JSON, or a field that is needed is missing or of another type
 */
export function parseSpec(text: string, path: string): Spec {
  let value: unknown;
  try {
    value = parseExactly(text);
  } catch (cause) {
    throw invalid(path, `is not JSON (${cause instanceof Error ? cause.message : cause})`, cause);
  }
  const check = new Checker(path);
  const spec = check.object(value, "");
  check.string(spec["ociVersion"], "ociVersion");
  if (!/^1\.\d+\.\d+/.test(spec["ociVersion"] as string)) {
    throw invalid(path, `has ociVersion "${spec["ociVersion"]}": versions 1.x are understood`);
  }
  checkProcess(check, spec["process"]);
  const root = check.object(spec["root"], "root");
  check.string(root["path"], "root.path");
  check.optional(root["readonly"], "boolean", "root.readonly");
  check.optional(spec["hostname"], "string", "hostname");
  check.optional(spec["domainname"], "string", "domainname");
  for (const [index, mount] of check.list(spec["mounts"], "mounts").entries()) {
    const at = `mounts[${index}]`;
    const fields = check.object(mount, at);
    check.string(fields["destination"], `${at}.destination`);
    check.optional(fields["type"], "string", `${at}.type`);
    check.optional(fields["source"], "string", `${at}.source`);
    check.strings(fields["options"], `${at}.options`);
  }
  checkStringMap(check, spec["annotations"], "annotations");
  if (spec["hooks"] !== undefined && spec["hooks"] !== null) {
    for (const [name, hooks] of Object.entries(check.object(spec["hooks"], "hooks"))) {
      for (const [index, hook] of check.list(hooks, `hooks.${name}`).entries()) {
        check.string(check.object(hook, `hooks.${name}[${index}]`)["path"], `hooks.${name}[${index}].path`);
      }
    }
  }
  checkLinux(check, spec["linux"]);
  return spec as Spec;
}

/**
 * Parses and validates one process, as in `config.json`'s `process` or in the file of `exec --process`.
 *
 * @throws UruncError `bundle-invalid`
 */
export function parseProcess(value: unknown, path: string): Process {
  return checkProcess(new Checker(path), value);
}

function checkProcess(check: Checker, value: unknown): Process {
  const process = check.object(value, "process");
  const args = process["args"];
  check.strings(args, "process.args");
  if (!Array.isArray(args) || args.length === 0) {
    // In runc's words, as the next.
    throw new UruncError("bundle-invalid", "args must not be empty");
  }
  check.string(process["cwd"], "process.cwd");
  if (!(process["cwd"] as string).startsWith("/")) {
    throw new UruncError("bundle-invalid", "Cwd must be an absolute path");
  }
  check.strings(process["env"], "process.env");
  check.optional(process["terminal"], "boolean", "process.terminal");
  check.optional(process["noNewPrivileges"], "boolean", "process.noNewPrivileges");
  check.optional(process["oomScoreAdj"], "number", "process.oomScoreAdj");
  process["user"] ??= { uid: 0, gid: 0 };
  const user = check.object(process["user"], "process.user");
  user["uid"] ??= 0;
  user["gid"] ??= 0;
  check.id(user["uid"], "process.user.uid");
  check.id(user["gid"], "process.user.gid");
  if (user["umask"] !== undefined && user["umask"] !== null) check.id(user["umask"], "process.user.umask");
  for (const gid of check.list(user["additionalGids"], "process.user.additionalGids")) {
    check.id(gid, "process.user.additionalGids");
  }
  const capabilities = process["capabilities"];
  if (capabilities !== undefined && capabilities !== null) {
    for (const [set, names] of Object.entries(check.object(capabilities, "process.capabilities"))) {
      check.strings(names, `process.capabilities.${set}`);
    }
  }
  for (const [index, rlimit] of check.list(process["rlimits"], "process.rlimits").entries()) {
    const at = `process.rlimits[${index}]`;
    const fields = check.object(rlimit, at);
    check.string(fields["type"], `${at}.type`);
    check.number(fields["soft"], `${at}.soft`);
    check.number(fields["hard"], `${at}.hard`);
  }
  return process as unknown as Process;
}

function checkLinux(check: Checker, value: unknown): void {
  if (value === undefined || value === null) return;
  const linux = check.object(value, "linux");
  for (const [index, namespace] of check.list(linux["namespaces"], "linux.namespaces").entries()) {
    const at = `linux.namespaces[${index}]`;
    const fields = check.object(namespace, at);
    check.string(fields["type"], `${at}.type`);
    check.optional(fields["path"], "string", `${at}.path`);
  }
  for (const [index, device] of check.list(linux["devices"], "linux.devices").entries()) {
    const at = `linux.devices[${index}]`;
    const fields = check.object(device, at);
    check.string(fields["path"], `${at}.path`);
    check.string(fields["type"], `${at}.type`);
  }
  check.optional(linux["cgroupsPath"], "string", "linux.cgroupsPath");
  checkStringMap(check, linux["sysctl"], "linux.sysctl");
  check.strings(linux["maskedPaths"], "linux.maskedPaths");
  check.strings(linux["readonlyPaths"], "linux.readonlyPaths");
  checkSeccomp(check, linux["seccomp"]);
  if (linux["resources"] === undefined || linux["resources"] === null) return;
  const resources = check.object(linux["resources"], "linux.resources");
  for (const [group, fields] of [
    ["memory", ["limit", "reservation", "swap"]],
    ["cpu", ["quota", "period", "shares"]],
    ["pids", ["limit"]],
  ] as const) {
    if (resources[group] === undefined || resources[group] === null) continue;
    const values = check.object(resources[group], `linux.resources.${group}`);
    for (const field of fields) check.optional(values[field], "number", `linux.resources.${group}.${field}`);
  }
}

function checkStringMap(check: Checker, value: unknown, at: string): void {
  if (value === undefined || value === null) return;
  for (const [key, text] of Object.entries(check.object(value, at))) {
    // A value may be empty, a key may not (runtime specification, "Annotations").
    if (text !== "") check.string(text, `${at}.${key}`);
  }
}

function invalid(path: string, what: string, cause?: unknown): UruncError {
  return new UruncError("bundle-invalid", `${path} ${what}`, { cause });
}

/** Type checks that name the field in their sentence. JSON `null` counts as absent, as Go's decoder has it. */
export class Checker {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  object(value: unknown, at: string): Json {
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Json;
    if (at === "") throw invalid(this.path, "is not a JSON object");
    throw invalid(
      this.path,
      value === undefined || value === null ? `has no ${at}` : `has a ${at} that is not an object`,
    );
  }

  string(value: unknown, at: string): void {
    if (value === undefined || value === null || value === "") throw invalid(this.path, `has no ${at}`);
    if (typeof value !== "string") throw invalid(this.path, `has a ${at} that is not a string`);
    this.#noNul(value, at);
  }

  number(value: unknown, at: string): void {
    if (typeof value !== "number") throw invalid(this.path, `has a ${at} that is not a number`);
  }

  /** A user or group identifier, or another 32-bit number. */
  id(value: unknown, at: string): void {
    if (typeof value !== "number" || !Number.isInteger(value) || value < 0 || value > 0xffffffff) {
      throw invalid(this.path, `has a ${at} that is not a number from 0 to 4294967295`);
    }
  }

  /** A whole number from 0 to `most`, exact. */
  whole(value: unknown, most: number | bigint, at: string): void {
    const exact = typeof value === "bigint" || Number.isSafeInteger(value);
    if (!exact || (value as number | bigint) < 0 || (value as number | bigint) > most) {
      throw invalid(this.path, `has a ${at} that is not a whole number from 0 to ${most}`);
    }
  }

  optional(value: unknown, type: "string" | "boolean" | "number", at: string): void {
    if (value === undefined || value === null) return;
    if (typeof value !== type) throw invalid(this.path, `has a ${at} that is not a ${type}`);
    if (typeof value === "string") this.#noNul(value, at);
  }

  list(value: unknown, at: string): unknown[] {
    if (value === undefined || value === null) return [];
    if (!Array.isArray(value)) throw invalid(this.path, `has ${at} that is not a list`);
    return value;
  }

  strings(value: unknown, at: string): void {
    for (const text of this.list(value, at)) {
      if (typeof text !== "string") throw invalid(this.path, `has ${at} with something that is not a string`);
      this.#noNul(text, at);
    }
  }

  /** Linux takes none of these strings with a NUL byte inside; cut off there, they would mean something else. */
  #noNul(text: string, at: string): void {
    if (text.includes("\0")) throw invalid(this.path, `has a NUL character in ${at}`);
  }
}
