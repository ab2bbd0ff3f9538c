import { realpathSync } from "node:fs";
import { isAbsolute } from "node:path";
import { UruncError } from "../errors.ts";
import { isProgram } from "../find-program.ts";

/** Looked in before the caller's PATH, which a daemon may have cut short. */
const SYSTEM_PATH = ["/usr/bin", "/usr/local/bin", "/usr/sbin", "/usr/local/sbin", "/bin"];

/** A program for each monitor, and the Debian package that has it. */
const PROGRAMS = {
  qemu: { names: ["qemu-system-x86_64", "qemu-kvm"], package: "qemu-system-x86" },
  firecracker: { names: ["firecracker"], package: undefined },
  "cloud-hypervisor": { names: ["cloud-hypervisor"], package: undefined },
} as const;

/**
 * The absolute path of a monitor's program, links resolved: the one configured, else the first in the system's
 * directories, then in the caller's PATH. Throws UruncError("monitor-missing").
 */
export function locateMonitor(name: keyof typeof PROGRAMS, configured?: string): string {
  if (configured !== undefined) {
    if (!isAbsolute(configured) || !isProgram(configured)) {
      throw new UruncError(
        "monitor-missing",
        `the configured path of ${name}, ${configured}, is not an absolute path of a program`,
      );
    }
    return realpathSync(configured);
  }
  const program = PROGRAMS[name];
  const directories = [...SYSTEM_PATH, ...(process.env["PATH"] ?? "").split(":").filter(isAbsolute)];
  for (const programName of program.names) {
    for (const directory of directories) {
      const path = `${directory}/${programName}`;
      if (isProgram(path)) return realpathSync(path);
    }
  }
  const remedy = program.package === undefined ? "install it" : `install the package ${program.package}`;
  throw new UruncError("monitor-missing", `${program.names[0]} is not installed; ${remedy}`);
}
