import { UruncError } from "../errors.ts";
import { find, makeDirectory } from "../image/layers/lookup.ts";
import {
  type ByteString,
  type Directory,
  type Inode,
  placesOf,
  plainDirectory,
  shown,
} from "../image/layers/tree.ts";
import type { TreeEntry } from "./entry.ts";

/** What is done where things are already. */
export interface PlacementRules {
  /** Who owns directories that are made for what is put there (default: root). */
  owner?: { uid: number; gid: number };
  /** Which directories get what their source has: the destination if it is new, or those below it, new or not. */
  describes: "destination" | "below";
  /** A link at the place of a file is followed, and does not go. */
  followsLast: boolean;
  /** A file takes a directory's place, and the other way round. */
  replaces: boolean;
}

/** As bunnyfiles include files. */
const INCLUDE: PlacementRules = { describes: "destination", followsLast: false, replaces: false };
/** As BuildKit has it for `COPY`. */
export const COPY: PlacementRules = { describes: "below", followsLast: true, replaces: false };
/** As Docker unpacks archives. */
export const UNPACK: PlacementRules = { describes: "below", followsLast: true, replaces: true };

const MOST_LINKS = 255;

/**
 * Puts a file, or what a directory has, into a tree: parents that are missing are made, a file whose destination is a
 * directory goes into it, what a directory has is merged into the destination. Links on the way are followed inside the
 * tree.
 *
 * @param name of the file, where the destination is a directory
 * @param destination absolute; with a slash at its end it is a directory
 * @throws UruncError `build` where a file would take the place of a directory, or the other way round
 */
export function place(
  root: Directory,
  inode: Inode,
  name: ByteString,
  destination: ByteString,
  rules: PlacementRules = INCLUDE,
): void {
  const words = destination.split("/").filter((word) => word !== "");
  const make = (path: readonly ByteString[]) => {
    const made = () => ({ ...plainDirectory(), ...rules.owner });
    return makeDirectory(root, path, destination, made).directory;
  };
  const there = find(root, words);
  if (inode.kind === "directory") {
    const directory = make(words);
    if (there === undefined && rules.describes === "destination") describe(directory, inode);
    merge(directory, inode, destination, rules);
    return;
  }
  if (destination.endsWith("/") || there?.kind === "directory") {
    put(make(words), name, inode, destination, rules);
    return;
  }
  const place = rules.followsLast ? followed(root, words) : words;
  put(make(place.slice(0, -1)), place.at(-1) as ByteString, inode, destination, rules);
}

/** The place that a link at the end of a path leads to, or the path itself. */
function followed(root: Directory, path: readonly ByteString[]): readonly ByteString[] {
  let words = path;
  for (let links = 0; links < MOST_LINKS; links++) {
    const parent = find(root, words.slice(0, -1));
    const there = parent?.kind === "directory" ? parent.children.get(words.at(-1) ?? "") : undefined;
    if (there?.kind !== "link") return words;
    const target = there.target.split("/").filter((word) => word !== "" && word !== ".");
    words = there.target.startsWith("/") ? target : [...words.slice(0, -1), ...target];
  }
  throw new UruncError("build", `${shown(`/${path.join("/")}`)} leads through more than ${MOST_LINKS} links`);
}

function put(
  directory: Directory,
  name: ByteString,
  inode: Inode,
  where: ByteString,
  { replaces }: PlacementRules,
): void {
  if (directory.children.get(name)?.kind === "directory" && !replaces) {
    throw new UruncError(
      "build",
      `${shown(where)} is a directory of the image, and a file is to be put there`,
    );
  }
  directory.children.set(name, inode);
}

function merge(into: Directory, from: Directory, where: ByteString, rules: PlacementRules): void {
  const rest = [{ into, from, where }];
  for (let next = rest.pop(); next !== undefined; next = rest.pop()) {
    for (const [name, child] of next.from.children) {
      const at = `${next.where.replace(/\/$/, "")}/${name}`;
      const there = next.into.children.get(name);
      if (child.kind !== "directory") {
        put(next.into, name, child, at, rules);
        continue;
      }
      if (there !== undefined && there.kind !== "directory" && !rules.replaces) {
        throw new UruncError(
          "build",
          `${shown(at)} is a file of the image, and a directory is to be put there`,
        );
      }
      let directory = there;
      if (directory?.kind !== "directory" || rules.describes === "below") {
        // A directory of its own: the source may be used again, and what is changed is seen as new.
        directory = { ...child, children: directory?.kind === "directory" ? directory.children : new Map() };
        next.into.children.set(name, directory);
      }
      rest.push({ into: directory, from: child, where: at });
    }
  }
}

function describe(directory: Directory, { mode, uid, gid, mtime, xattrs }: Directory): void {
  Object.assign(directory, { mode, uid, gid, mtime, xattrs });
}

/** The files of a tree, to tell later what was put into it. */
export function inodesOf(root: Directory): ReadonlySet<Inode> {
  return new Set(placesOf(root).map(({ inode }) => inode));
}

/** What was put into a tree since, as a layer's entries: parents first. */
export function addedTo(root: Directory, before: ReadonlySet<Inode>): TreeEntry[] {
  return placesOf(root)
    .filter(({ inode }) => !before.has(inode))
    .map(({ path, inode }): TreeEntry => ({ kind: "inode", path, inode }));
}
