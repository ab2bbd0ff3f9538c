import { delimiter, dirname, join } from "node:path";

/**
 * The directory of an installation whose only name is `runc`, which is urunc: who has it first in the PATH and runs
 * runc by name, as containerd's shim does, runs urunc.
 *
 * @param executable urunc's own file, absolute and no link
 */
export function runcDirectory(executable: string): string {
  return join(dirname(executable), "../libexec/urunc");
}

/** A PATH in which a directory comes first, and only there. */
export function withFirst(path: string | undefined, directory: string): string {
  const rest = withoutDirectory(path, directory);
  return rest === undefined || rest === "" ? directory : `${directory}${delimiter}${rest}`;
}

/** A PATH without a directory: what urunc runs by name must not be urunc. */
export function withoutDirectory(path: string | undefined, directory: string): string | undefined {
  return path
    ?.split(delimiter)
    .filter((place) => place === "" || join(place, ".") !== directory)
    .join(delimiter);
}
