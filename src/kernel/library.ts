import { existsSync, readdirSync, readFileSync, realpathSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { UruncError } from "../errors.ts";
import { type Fragment, parseFragment } from "./fragment.ts";

/** A fragment with its bytes, which belong to the identity of the kernel that is built with it. */
export interface FragmentFile extends Fragment {
  /** Without directory: the same wherever the fragments are. */
  name: string;
  text: string;
}

const ENDING = ".config";

/**
 * The directory with the fragments: the given one, else the installed one, else that of the checkout whose
 * executable this is.
 *
 * @throws UruncError `files-missing`
 */
export function findFragmentDirectory(given: string | undefined): string {
  const executables = dirname(realpathSync(process.execPath));
  const places =
    given === undefined
      ? [join(executables, "../share/urunc/kernel"), join(executables, "../../kernel")]
      : [given];
  const found = places.find((place) => existsSync(place) && namesIn(place).length > 0);
  if (found !== undefined) return found;
  throw new UruncError(
    "files-missing",
    `no kernel fragments (*.config) in ${places.join(" or ")}: name their directory with --fragments`,
  );
}

/**
 * The fragments of a kernel: all of the directory in the order of their names, then the named ones of its
 * `optional`.
 *
 * @throws UruncError `usage` for a name that is not there, `kernel-build` for a fragment that is not right
 */
export function readFragments(directory: string, options: readonly string[]): FragmentFile[] {
  const optional = join(directory, "optional");
  const known = namesIn(optional).map((name) => basename(name, ENDING));
  const unknown = options.find((option) => !known.includes(option));
  if (unknown !== undefined) {
    throw new UruncError(
      "usage",
      `there is no kernel option ${JSON.stringify(unknown)} in ${optional}: known are ${known.join(", ") || "none"}`,
    );
  }
  const named = [...new Set(options)].sort().map((option) => join(optional, option + ENDING));
  return [...namesIn(directory).map((name) => join(directory, name)), ...named].map(readFragment);
}

/** A change to the source, which belongs to the kernel's identity as well. */
export interface Patch {
  /** Without directory. */
  name: string;
  text: string;
}

/** The patches of a kernel: all of the directory's `patches`, in the order of their names. */
export function readPatches(directory: string): Patch[] {
  const patches = join(directory, "patches");
  if (!existsSync(patches)) return [];
  const names = readdirSync(patches).filter((name) => name.endsWith(".patch"));
  return names.sort().map((name) => ({ name, text: readFileSync(join(patches, name), "utf8") }));
}

function readFragment(file: string): FragmentFile {
  const text = readFileSync(file, "utf8");
  return { ...parseFragment(text, file), name: basename(file), text };
}

function namesIn(directory: string): string[] {
  if (!existsSync(directory)) return [];
  return readdirSync(directory)
    .filter((name) => name.endsWith(ENDING))
    .sort();
}
