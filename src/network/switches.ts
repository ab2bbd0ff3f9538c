import { readFileSync } from "node:fs";
import { UruncError } from "../errors.ts";
import { runInNamespace } from "./command.ts";

/** A switch of the kernel's network, named as sysctl(8) does, and its value. */
export type Switch = [key: string, value: string];

/** Those that are looked at, with the values that a guest's kernel has by itself. */
const SWITCHES: readonly Readonly<Switch>[] = [
  // A new namespace takes this one over from the host, where Docker sets it.
  ["net.ipv4.ip_forward", "0"],
  ["net.ipv6.conf.all.forwarding", "0"],
  // In a pod only the specification of its first container asks for these.
  ["net.ipv4.ip_unprivileged_port_start", "1024"],
  ["net.ipv4.ping_group_range", "1 0"],
];

const fileOf = (key: string) => `/proc/sys/${key.replaceAll(".", "/")}`;

/**
 * Reads what the network namespace at `path` has set otherwise than a guest that has just booted.
 * Throws UruncError("network").
 */
export async function readSwitches(path: string): Promise<Switch[]> {
  const files = SWITCHES.map(([key]) => fileOf(key));
  const result = await runInNamespace(path, ["grep", "-sH", "", ...files], "");
  // 2: a file is missing, as those of IPv6 are on hosts without it.
  if (result.status !== 0 && result.status !== 2) {
    throw new UruncError("network", `the settings of ${path} cannot be read: grep: ${result.stderr.trim()}`);
  }
  return parseSwitches(result.stdout);
}

/** The same of the namespace that this process is in, which takes no rights. */
export function readOwnSwitches(): Switch[] {
  const lines = SWITCHES.map(([key]) => {
    try {
      return `${fileOf(key)}:${readFileSync(fileOf(key), "utf8")}`;
    } catch {
      return "";
    }
  });
  return parseSwitches(lines.join("\n"));
}

/** Reads lines `FILE:VALUE`, and keeps what a guest has to be told. */
export function parseSwitches(output: string): Switch[] {
  const values = new Map<string, string>();
  for (const line of output.split("\n")) {
    const [file = "", value = ""] = line.split(":");
    values.set(file, value.trim().replace(/\s+/g, " "));
  }
  return SWITCHES.flatMap(([key, usual]): Switch[] => {
    const value = values.get(fileOf(key));
    return value === undefined || value === usual ? [] : [[key, value]];
  });
}
