import type { LayerEntry } from "./layer-reader.ts";
import { find, insideRoot, makeDirectory } from "./lookup.ts";
import { invalid } from "./tar-header.ts";
import { type ByteString, type Directory, type Inode, shown } from "./tree.ts";

const WHITEOUT = ".wh.";
/** Hides what lower layers have in its directory. */
const OPAQUE = ".wh..wh..opq";
/** Other names of AUFS' own, of which layers of old engines have some: they are no files of the image. */
const INTERNAL = ".wh..wh.";

/**
 * Applies one layer to a tree, as the OCI image specification says ("Image Layer Filesystem Changeset"): entries are
 * added or replace what is there, directories are merged, whiteouts hide what lower layers have, wherever in the
 * archive they stand.
 *
 * Paths stay inside the root: an absolute one is taken from the root, one that leaves it by `..` is refused, and
 * links on the way are followed as if the root were the system's. Parents that no layer has are made.
 */
export class LayerApplication {
  readonly #root: Directory;
  /** The names in each directory that this layer has put there, or has put something below. */
  readonly #own = new Map<Directory, Set<ByteString>>();

  constructor(root: Directory) {
    this.#root = root;
  }

  /**
   * @param entry of this layer; the archive's order is to be kept
   * @throws UruncError `layer-invalid` for an entry that has no place in the tree
   */
  apply(entry: LayerEntry): void {
    const words = insideRoot(entry.name);
    const name = words.pop();
    if (name === undefined) {
      this.#describeRoot(entry);
    } else if (name === OPAQUE) {
      const directory = find(this.#root, words);
      if (directory?.kind === "directory") this.#hideLower(directory);
    } else if (name.startsWith(INTERNAL) || words.some((word) => word.startsWith(INTERNAL))) {
      return;
    } else if (name.startsWith(WHITEOUT)) {
      this.#hide(words, name.slice(WHITEOUT.length));
    } else {
      this.#put(entry, words, name);
    }
  }

  #describeRoot(entry: LayerEntry): void {
    if (entry.kind !== "directory") throw invalid("has a root that is no directory");
    describe(this.#root, entry);
  }

  #hide(words: readonly ByteString[], name: ByteString): void {
    if (name === "" || name === "." || name === "..") throw invalid(`hides ${shown(name)}, which is no file`);
    const parent = find(this.#root, words);
    if (parent?.kind !== "directory") return;
    const hidden = parent.children.get(name);
    if (!this.#own.get(parent)?.has(name)) parent.children.delete(name);
    else if (hidden?.kind === "directory") this.#hideLower(hidden);
  }

  /** Removes what this layer has not put there, below a directory. */
  #hideLower(directory: Directory): void {
    const rest = [directory];
    for (let next = rest.pop(); next !== undefined; next = rest.pop()) {
      const own = this.#own.get(next);
      for (const [name, inode] of next.children) {
        if (!own?.has(name)) next.children.delete(name);
        else if (inode.kind === "directory") rest.push(inode);
      }
    }
  }

  #put(entry: LayerEntry, words: readonly ByteString[], name: ByteString): void {
    const parent = makeDirectory(this.#root, words, entry.name);
    const there = parent.directory.children.get(name);
    if (entry.kind === "directory" && there?.kind === "directory") describe(there, entry);
    // The target is looked up before anything is replaced: it may be the name itself.
    else parent.directory.children.set(name, this.#inodeOf(entry));
    for (const step of [...parent.way, { directory: parent.directory, name }]) {
      const own = this.#own.get(step.directory);
      if (own === undefined) this.#own.set(step.directory, new Set([step.name]));
      else own.add(step.name);
    }
  }

  #inodeOf(entry: LayerEntry): Inode {
    const { mode, uid, gid, mtime, xattrs } = entry;
    const metadata = { mode, uid, gid, mtime, xattrs };
    switch (entry.kind) {
      case "directory":
        return { ...metadata, kind: "directory", children: new Map() };
      case "fifo":
        return { ...metadata, kind: "fifo" };
      case "link":
        return { ...metadata, kind: "link", target: entry.target };
      case "character":
      case "block":
        return { ...metadata, kind: entry.kind, major: entry.major, minor: entry.minor };
      case "hardlink":
        return this.#linked(entry.name, entry.target);
      case "file":
        return { ...metadata, kind: "file", content: entry.content };
    }
  }

  /** The file that a hard link names, of this layer or a lower one. A link at its end is not followed. */
  #linked(name: ByteString, target: ByteString): Inode {
    const words = insideRoot(target);
    const last = words.pop();
    const parent = find(this.#root, words);
    const inode = parent?.kind === "directory" && last !== undefined ? parent.children.get(last) : undefined;
    if (inode === undefined || inode.kind === "directory") {
      throw invalid(`has a hard link ${shown(name)} to ${shown(target)}, which is no file there`);
    }
    return inode;
  }
}

/** Gives a directory that is there what another layer says of it. */
function describe(directory: Directory, { mode, uid, gid, mtime, xattrs }: LayerEntry): void {
  directory.mode = mode;
  directory.uid = uid;
  directory.gid = gid;
  directory.mtime = mtime;
  directory.xattrs = xattrs;
}
