import { readFileSync, rmdirSync } from "node:fs";
import { join, normalize } from "node:path";

/** How long a killed process may take to leave its cgroup, in milliseconds. */
const PATIENCE = 2000;
const INTERVAL = 20;

/**
 * Removes the cgroups of a container whose engine was killed while it made them: it had not noted them yet, so its own
 * `delete` knows nothing of them. Only empty ones go, after the engine's `init` in them has been ended; what else is in
 * them is not the container's.
 *
 * @param cgroupsPath of the container's specification; systemd's form (`slice:prefix:name`) is systemd's to remove
 */
export async function removeLeftCgroups(cgroupsPath: string | undefined): Promise<void> {
  if (!cgroupsPath?.startsWith("/")) return;
  const path = normalize(cgroupsPath);
  if (path === "/") return;
  const deadline = performance.now() + PATIENCE;
  for (const hierarchy of hierarchies(readFileSync("/proc/self/mountinfo", "utf8"))) {
    const directory = join(hierarchy, path);
    while (!removed(directory) && performance.now() < deadline) {
      for (const pid of enginesIn(directory)) kill(pid);
      await Bun.sleep(INTERVAL);
    }
  }
}

/** The mount points of all cgroup hierarchies, of either version, in the text of `/proc/self/mountinfo` (proc(5)). */
export function hierarchies(mountInfo: string): string[] {
  return mountInfo.split("\n").flatMap((line) => {
    const [mount, filesystem] = line.split(" - ");
    const type = filesystem?.split(" ")[0];
    const point = mount?.split(" ")[4];
    return point !== undefined && (type === "cgroup" || type === "cgroup2") ? [point] : [];
  });
}

/** True when the directory is not there any more, or cannot be made to go. */
function removed(directory: string): boolean {
  try {
    rmdirSync(directory);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== "EBUSY";
  }
}

/** The processes of a cgroup that are an engine's first: `runc init`. */
function enginesIn(directory: string): number[] {
  try {
    return readFileSync(join(directory, "cgroup.procs"), "utf8")
      .split("\n")
      .filter((pid) => pid !== "")
      .filter((pid) => readFileSync(`/proc/${pid}/cmdline`, "latin1").split("\0")[1] === "init")
      .map(Number);
  } catch {
    // It has ended meanwhile.
    return [];
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It has ended by itself.
  }
}
