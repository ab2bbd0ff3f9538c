import { parse } from "smol-toml";
import { UruncError } from "../errors.ts";

/** What containerd is told of urunc. */
export interface Handler {
  /** The runtime's path on the host. */
  readonly program: string;
  /** Whether control groups are systemd's, as those of containerd's own handler are. */
  readonly systemdCgroup: boolean;
}

const BEGIN = '# >>> added by "urunc node install"';
const END = '# <<< removed by "urunc node remove"';
/** Behind `BEGIN` where there was no file before. */
const MADE = " with this file";

/** Where the CRI's handlers are, by the configuration's version. */
const PLUGINS: Readonly<Record<number, readonly string[]>> = {
  1: ["cri"],
  2: ["io.containerd.grpc.v1.cri"],
  3: ["io.containerd.cri.v1.runtime"],
  4: ["io.containerd.cri.v1.runtime"],
};

/** Without a file containerd has its defaults; this version is known to 1.3 and all later ones. */
const FIRST_LINES = { toml: "version = 2\n", template: '{{ template "base" . }}\n' } as const;

/** A template is k3s's: what it makes of it has the version that is said, and is not to be parsed before. */
export type ConfigKind = { readonly kind: "toml" } | { readonly kind: "template"; readonly version: number };

/**
 * containerd's configuration with the handler `urunc`, in lines of our own at its end; every other byte stays. What
 * an earlier call has added is replaced.
 *
 * @param text undefined: there is no file
 * @throws UruncError `config-invalid`: it is not understood, or names the handler elsewhere
 */
export function withHandler(text: string | undefined, kind: ConfigKind, handler: Handler): string {
  const before = text === undefined ? undefined : withoutHandler(text);
  const base = before ?? FIRST_LINES[kind.kind];
  const version = kind.kind === "template" ? kind.version : checked(base);
  if (kind.kind === "template" && /runtimes\.(urunc|"urunc"|'urunc')[\].]/.test(base)) throw namedAlready();
  const begin = before === undefined ? BEGIN + MADE : BEGIN;
  const added = `${base}\n${begin}\n${handlerLines(pluginOf(version), handler)}${END}\n`;
  if (kind.kind === "toml") parsed(added);
  return added;
}

/**
 * The configuration as it was before: undefined where there was no file.
 *
 * @throws UruncError `config-invalid`: only one of the two lines that mark what was added is there
 */
export function withoutHandler(text: string): string | undefined {
  const begin = text.indexOf(`\n${BEGIN}`);
  const end = text.indexOf(`\n${END}\n`, begin + 1);
  if (begin < 0 && !text.includes(END)) return text;
  if (begin < 0 || end < 0) {
    throw new UruncError(
      "config-invalid",
      "of the lines that mark what urunc has added to containerd's configuration one is missing: remove the handler by hand",
    );
  }
  const rest = text.slice(0, begin) + text.slice(end + END.length + 2);
  const made = text.startsWith(BEGIN + MADE, begin + 1);
  return made && Object.values(FIRST_LINES).includes(rest as never) ? undefined : rest;
}

/**
 * Whether containerd's own handler has systemd make its control groups: the kubelet's way is the node's.
 *
 * @param texts the configuration's and those of the files that it imports: the last one that says it holds
 */
export function usesSystemd(texts: readonly string[]): boolean {
  const said = texts.map((text) => at(handlerIn(parsed(text), "runc"), ["options", "SystemdCgroup"]));
  return said.findLast((value) => value !== undefined) === true;
}

/**
 * Refuses what a configuration imports where the handler cannot be added for it.
 *
 * @throws UruncError `config-invalid`: as `withHandler`
 */
export function checkImported(text: string): void {
  const config = parsed(text);
  if (handlerIn(config, "urunc") !== undefined) throw namedAlready();
  refuseDisabled(config);
}

/** The files that a configuration imports, in its own words: patterns, which are relative to its directory. */
export function importsOf(text: string): string[] {
  const imports = at(parsed(text), ["imports"]);
  return Array.isArray(imports) ? imports.filter((one) => typeof one === "string") : [];
}

/** The version of a configuration's text, by which its plugins are named. */
export function configVersion(text: string): number {
  return versionOf(parsed(text));
}

function handlerLines(plugin: readonly string[], { program, systemdCgroup }: Handler): string {
  const table = ["plugins", ...plugin.map((name) => JSON.stringify(name)), "containerd.runtimes.urunc"].join(
    ".",
  );
  return [
    `[${table}]`,
    '  runtime_type = "io.containerd.runc.v2"',
    // Kubernetes hands a pod's annotations on only where they are named.
    // What describes an image or the pod, and no more: `com.urunc.root.*` names files of the host's, which are not its author's.
    '  pod_annotations = ["com.urunc.unikernel.*", "com.urunc.pod.*"]',
    `[${table}.options]`,
    `  BinaryName = ${JSON.stringify(program)}`,
    `  SystemdCgroup = ${systemdCgroup}`,
    "",
  ].join("\n");
}

/** The version, of a configuration to which the handler can be added. */
function checked(text: string): number {
  const config = parsed(text);
  const version = versionOf(config);
  pluginOf(version);
  if (handlerIn(config, "urunc") !== undefined) throw namedAlready();
  refuseDisabled(config);
  return version;
}

/** Whatever the version: an imported file has mostly none, and the plugin's whole name then. */
function handlerIn(config: unknown, name: string): unknown {
  return Object.values(PLUGINS)
    .map((plugin) => at(config, ["plugins", ...plugin, "containerd", "runtimes", name]))
    .find((handler) => handler !== undefined);
}

/** Of the CRI's plugins, since version 3 more than one, all must be on. */
function refuseDisabled(config: unknown): void {
  const disabled = at(config, ["disabled_plugins"]);
  const isCri = (name: unknown) => typeof name === "string" && /(^|\.)cri(\.|$)/.test(name);
  const off = Array.isArray(disabled) ? disabled.filter(isCri) : [];
  if (off.length === 0) return;
  throw new UruncError(
    "config-invalid",
    `containerd's CRI plugin is off: take ${off.map((name) => JSON.stringify(name)).join(" and ")} out of disabled_plugins first`,
  );
}

function namedAlready(): UruncError {
  return new UruncError(
    "config-invalid",
    "containerd's configuration has a handler urunc already, which is not from here: remove it first",
  );
}

function versionOf(config: unknown): number {
  return Number(at(config, ["version"]) ?? 1);
}

function pluginOf(version: number): readonly string[] {
  const plugin = PLUGINS[version];
  if (plugin !== undefined) return plugin;
  throw new UruncError(
    "config-invalid",
    `containerd's configuration is of version ${version}, and only 1 to 4 are known here: add the handler by hand`,
  );
}

function parsed(text: string): unknown {
  try {
    return parse(text);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message.split("\n")[0] : String(cause);
    throw new UruncError("config-invalid", `containerd's configuration is not valid TOML: ${why}`, { cause });
  }
}

function at(value: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>(
    (inner, key) =>
      typeof inner === "object" && inner !== null && Object.hasOwn(inner, key)
        ? (inner as Record<string, unknown>)[key]
        : undefined,
    value,
  );
}
