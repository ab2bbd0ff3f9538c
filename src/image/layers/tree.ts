import type { Content } from "./content.ts";

/**
 * Bytes as a string with one character for each, from U+0000 to U+00FF: names of files need not be UTF-8, and such
 * strings compare in the order of their bytes.
 */
export type ByteString = string;

/** A moment as file systems keep it: seconds since 1970, possibly negative, and nanoseconds after that second. */
export interface Time {
  seconds: number;
  nanoseconds: number;
}

/** What every kind of file has. */
export interface Metadata {
  /** Permission bits with set-id and sticky, at most 0o7777. */
  mode: number;
  uid: number;
  gid: number;
  mtime: Time;
  /** Extended attributes by their full names, as `security.capability`. */
  xattrs: ReadonlyMap<ByteString, Uint8Array>;
}

export interface Directory extends Metadata {
  kind: "directory";
  children: Map<ByteString, Inode>;
}

export interface RegularFile extends Metadata {
  kind: "file";
  content: Content;
}

export interface SymbolicLink extends Metadata {
  kind: "link";
  target: ByteString;
}

export interface Device extends Metadata {
  kind: "character" | "block";
  major: number;
  minor: number;
}

export interface NamedPipe extends Metadata {
  kind: "fifo";
}

/** A file of a tree. Two names of one file (hard links) are the same object under both. */
export type Inode = Directory | RegularFile | SymbolicLink | Device | NamedPipe;

const EPOCH: Time = { seconds: 0, nanoseconds: 0 };

/** A directory that nothing described: what image tools make for parents that no layer has. */
export function plainDirectory(): Directory {
  return {
    kind: "directory",
    mode: 0o755,
    uid: 0,
    gid: 0,
    mtime: EPOCH,
    xattrs: new Map(),
    children: new Map(),
  };
}

/** The bytes of text that we have ourselves, as UTF-8. */
export function bytesOf(text: string): ByteString {
  return Buffer.from(text).toString("latin1");
}

/** Bytes for a person to read, quoted. */
export function shown(bytes: ByteString): string {
  const text = Buffer.from(bytes, "latin1").toString();
  return JSON.stringify(text.length > 200 ? `${text.slice(0, 200)}…` : text);
}

/** The same files under directories of their own: what is put into them or said of them changes no other tree. */
export function withOwnDirectories(root: Directory): Directory {
  const copy: Directory = { ...root, children: new Map(root.children) };
  const rest = [copy];
  for (let next = rest.pop(); next !== undefined; next = rest.pop()) {
    for (const [name, child] of next.children) {
      if (child.kind !== "directory") continue;
      const own: Directory = { ...child, children: new Map(child.children) };
      next.children.set(name, own);
      rest.push(own);
    }
  }
  return copy;
}

/** Names of a directory in the order of their bytes. */
export function sortedNames(directory: Directory): ByteString[] {
  return [...directory.children.keys()].sort();
}

/** One name of a tree's file. */
export interface Place {
  /** Relative to the root, without `.` and `..`; empty for the root itself. */
  path: ByteString;
  inode: Inode;
  /** How many names the file has in the whole tree; for a directory, its own `.` and those of its children too. */
  links: number;
  /** This is the first name of the file in the order of the walk. */
  first: boolean;
}

/**
 * Every name of a tree, the root's first: a directory before what is in it, names in the order of their bytes. Equal
 * trees give equal lists, whatever the order of their layers' entries was.
 */
export function placesOf(root: Directory): Place[] {
  const places: Place[] = [];
  const names = new Map<Inode, number>();
  // Not by recursion: a hostile layer may nest deeper than a stack is.
  const rest: { path: ByteString; inode: Inode }[] = [{ path: "", inode: root }];
  for (let next = rest.pop(); next !== undefined; next = rest.pop()) {
    const { path, inode } = next;
    const count = names.get(inode) ?? 0;
    names.set(inode, count + 1);
    places.push({ path, inode, links: 0, first: count === 0 });
    if (inode.kind !== "directory") continue;
    for (const name of sortedNames(inode).reverse()) {
      rest.push({ path: path === "" ? name : `${path}/${name}`, inode: inode.children.get(name) as Inode });
    }
  }
  for (const place of places) {
    place.links = place.inode.kind === "directory" ? 2 : (names.get(place.inode) as number);
    if (place.inode.kind !== "directory") continue;
    for (const child of place.inode.children.values()) if (child.kind === "directory") place.links++;
  }
  return places;
}
