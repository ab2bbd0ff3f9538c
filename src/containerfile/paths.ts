import { posix } from "node:path";

/** The path of a working directory behind another, as it is written in an image: an absolute one stays as it is. */
export function workingDirectory(current: string, path: string): string {
  if (path.startsWith("/")) return path;
  const parent = current === "" ? "/" : current;
  return posix.join("/", parent, path).replace(/(.)\/$/, "$1");
}

/** Absolute and clean, without a slash at its end but for the root. */
export function cleanPath(path: string): string {
  return posix.join("/", path).replace(/(.)\/$/, "$1");
}

/** A destination of COPY: absolute and clean; a slash at its end says that it is a directory. */
export function destinationPath(current: string, path: string): string {
  const clean = cleanPath(workingDirectory(current, path));
  const isDirectory = path === "" || /(?:^|\/)\.?$/.test(path);
  return isDirectory && clean !== "/" ? `${clean}/` : clean;
}

/** A source of COPY, relative to its root, which `..` does not leave. */
export function sourcePath(path: string): string {
  return cleanPath(path).slice(1);
}

/** Whether a source is a pattern of Go's `filepath.Match`. */
export function hasWildcards(path: string): boolean {
  return /[*?[]/.test(path.replace(/\\./gs, ""));
}
