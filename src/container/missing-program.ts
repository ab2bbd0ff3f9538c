import { lstatSync, openSync, realpathSync } from "node:fs";
import { basename, dirname, join, relative, resolve } from "node:path";
import type { Spec } from "../oci/runtime-spec.ts";
import { DIRECTORY_ONLY, isMissing, walkInside } from "./inside-root.ts";

/** Hooks that may still bring files into the root, as the program is looked for after they have run. */
const EARLIER_HOOKS = ["prestart", "createRuntime", "createContainer"];

/**
 * What runc's `create` says of a program that is not in the container's root; undefined where it may be there. Whether
 * it can be run, and what is below a mount, only the guest knows. podman makes 127 of it, which it does of no failure of
 * `start`.
 *
 * @param rootfs a host path
 * @returns a sentence in runc's words
 */
export function missingProgram(spec: Spec, rootfs: string): string | undefined {
  const name = spec.process.args[0] ?? "";
  if (name === "" || EARLIER_HOOKS.some((hook) => (spec.hooks?.[hook] ?? []).length > 0)) return undefined;
  const { cwd } = spec.process;
  const path = spec.process.env?.find((entry) => entry.startsWith("PATH="))?.slice("PATH=".length);
  if (!name.includes("/") && path === undefined) return undefined;
  const candidates = name.includes("/")
    ? [resolve(cwd, name)]
    : (path ?? "").split(":").map((place) => resolve(cwd, place, name));
  const mounts = (spec.mounts ?? []).map(({ destination }) => resolve("/", destination));
  // A mount point that is behind a link is somewhere else.
  if (mounts.some((destination) => isBehindLink(rootfs, destination))) return undefined;
  if (!candidates.every((candidate) => isAbsent(rootfs, candidate, mounts))) return undefined;
  const reason = name.includes("/")
    ? `stat ${name}: no such file or directory`
    : "executable file not found in $PATH";
  return `unable to start container process: exec: ${JSON.stringify(name)}: ${reason}`;
}

function isBehindLink(rootfs: string, destination: string): boolean {
  const names = destination.split("/").slice(1);
  return names.some((_, index) => {
    const place = join(rootfs, ...names.slice(0, index + 1));
    return lstatSync(place, { throwIfNoEntry: false })?.isSymbolicLink() === true;
  });
}

/** False as well where the way leads to a mount, or cannot be gone. */
function isAbsent(rootfs: string, path: string, mounts: readonly string[]): boolean {
  const root = realpathSync(rootfs);
  const isMount = (at: string) =>
    mounts.includes(join("/", relative(root, realpathSync(dirname(at))), basename(at)));
  let absent = false;
  const look = (at: string) => {
    if (isMount(at)) throw new Stopped();
    absent = lstatSync(at, { throwIfNoEntry: false }) === undefined;
    if (absent) throw new Stopped();
  };
  try {
    walkInside(openSync(root, DIRECTORY_ONLY), path, {
      directory(at) {
        look(at);
        return openSync(at, DIRECTORY_ONLY);
      },
      last: look,
      tooManyLinks: () => undefined,
    });
  } catch (error) {
    if (!(error instanceof Stopped) && !isMissing(error)) throw error;
  }
  return absent;
}

/** Ends a walk whose end is known. */
class Stopped extends Error {}
