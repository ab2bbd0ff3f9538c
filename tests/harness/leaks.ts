import { type Dirent, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { until } from "./command.ts";

/**
 * Everything on this machine that bears one of `tokens` (container ids, the name of a private Docker, a state
 * directory): processes by command line, environment, root, working directory or cgroup; mounts; cgroup directories;
 * entries of runtimes' state directories and of
 * `directories`, five levels deep; unix sockets; network namespaces. Other users of the machine run meanwhile,
 * so that only what can be told by a token counts.
 */
export function traces(tokens: readonly string[], directories: readonly string[] = []): string[] {
  const bears = (text: string) => tokens.some((token) => text.includes(token));
  return [
    ...processes(bears),
    ...mounts(bears),
    ...cgroups(bears),
    ...["/run/urunc", "/run/runc", "/run/crun", ...directories].flatMap((path) => namesBelow(path, bears, 5)),
    ...sockets(bears),
    ...entries("/run/netns")
      .filter((entry) => bears(entry.name))
      .map((entry) => `network namespace ${entry.name}`),
  ];
}

/** Waits a little for what ends by itself, then fails with the list of what is left. */
export async function expectNothingLeft(
  tokens: readonly string[],
  directories: readonly string[] = [],
): Promise<void> {
  try {
    await until("nothing is left", () => traces(tokens, directories).length === 0, 10_000);
  } catch {
    const left = traces(tokens, directories);
    if (left.length > 0) throw new Error(`left behind:\n${left.join("\n")}`);
  }
}

/** The process ids in a cgroup and those below it, in any hierarchy. `path` as in the OCI `cgroupsPath`. */
export function processesInCgroup(path: string): number[] {
  const wanted = new RegExp(`:${path.replace(/[.*+?^$|()[\]{}\\]/g, "\\$&")}(/|$)`, "m");
  return processIds().filter((pid) => wanted.test(read(`/proc/${pid}/cgroup`)));
}

/** The program's name as the kernel keeps it (at most 15 bytes). */
export function processName(pid: number): string {
  return read(`/proc/${pid}/comm`).trim();
}

function processIds(): number[] {
  return entries("/proc")
    .map((entry) => Number(entry.name))
    .filter((pid) => Number.isInteger(pid) && pid !== process.pid);
}

function processes(bears: (text: string) => boolean): string[] {
  return processIds().flatMap((pid) => {
    const argv = read(`/proc/${pid}/cmdline`).replaceAll("\0", " ");
    const places = [link(`/proc/${pid}/root`), link(`/proc/${pid}/cwd`), read(`/proc/${pid}/cgroup`)];
    return [argv, ...places].some(bears) ? [`process ${pid} ${processName(pid)}: ${argv.slice(0, 200)}`] : [];
  });
}

function mounts(bears: (text: string) => boolean): string[] {
  return read("/proc/self/mountinfo")
    .split("\n")
    .filter(bears)
    .map((line) => `mount ${line.split(" ")[4]}`);
}

function cgroups(bears: (text: string) => boolean): string[] {
  const found: string[] = [];
  const visit = (path: string, depth: number) => {
    for (const entry of entries(path)) {
      if (!entry.isDirectory()) continue;
      const below = `${path}/${entry.name}`;
      if (bears(entry.name)) found.push(`cgroup ${below}`);
      else if (depth > 0) visit(below, depth - 1);
    }
  };
  visit("/sys/fs/cgroup", 4);
  return found;
}

function namesBelow(path: string, bears: (text: string) => boolean, depth: number): string[] {
  return entries(path).flatMap((entry) => {
    const below = `${path}/${entry.name}`;
    if (bears(entry.name)) return [`file ${below}`];
    return entry.isDirectory() && depth > 0 ? namesBelow(below, bears, depth - 1) : [];
  });
}

function sockets(bears: (text: string) => boolean): string[] {
  return read("/proc/net/unix")
    .split("\n")
    .filter(bears)
    .map((line) => `socket ${line.split(" ").at(-1)}`);
}

function entries(path: string): Dirent[] {
  try {
    return readdirSync(path, { withFileTypes: true });
  } catch {
    return [];
  }
}

/** The text of a file that may be gone by now. */
function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

function link(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return "";
  }
}
