import { UruncError } from "../errors.ts";
import { type ByteString, type Directory, type Inode, placesOf, shown } from "../image/layers/tree.ts";
import type { TreeEntry } from "./entry.ts";

// Linux: Documentation/filesystems/overlayfs.rst.

const PREFIX = "trusted.overlay.";
const OPAQUE = `${PREFIX}opaque`;
/** What an overlay inside of the overlay wrote. */
const ESCAPED = `${PREFIX}overlay.`;
/** By which a file is not all that it seems; our overlays are mounted without. */
const ELSEWHERE = [`${PREFIX}redirect`, `${PREFIX}metacopy`];

/**
 * What an overlay's upper directory says of the files below it, as a layer: files that were added or changed, with the
 * directories on the way; what was removed. The root itself is left out, as engines do. Equal directories give equal
 * entries, parents first.
 *
 * @param upper as a file system has it, which may have been written by anybody
 * @throws UruncError `file-system` for what overlayfs does not write as our guests mount it
 */
export function changesOf(upper: Directory): TreeEntry[] {
  const entries: TreeEntry[] = [];
  const cleaned = new Map<Inode, Inode>();
  for (const { path, inode } of placesOf(upper)) {
    if (isWhiteout(inode)) {
      entries.push({ kind: "whiteout", path });
      continue;
    }
    let own = cleaned.get(inode);
    if (own === undefined) {
      own = withoutOverlay(inode, path);
      cleaned.set(inode, own);
    }
    if (path !== "") entries.push({ kind: "inode", path, inode: own });
    // "x" says that there are whiteouts of another form in it, which our kernel does not write.
    if (inode.kind === "directory" && textOf(inode, OPAQUE) === "y") entries.push({ kind: "opaque", path });
  }
  return entries;
}

function isWhiteout(inode: Inode): boolean {
  return inode.kind === "character" && inode.major === 0 && inode.minor === 0;
}

function textOf(inode: Inode, name: string): string | undefined {
  const value = inode.xattrs.get(name);
  return value === undefined ? undefined : Buffer.from(value).toString("latin1");
}

function withoutOverlay(inode: Inode, path: ByteString): Inode {
  const names = [...inode.xattrs.keys()];
  if (!names.some((name) => name.startsWith(PREFIX))) return inode;
  if (names.some((name) => ELSEWHERE.includes(name))) {
    throw new UruncError(
      "file-system",
      `${shown(path)} was changed in a way that overlays of this program are not: it is elsewhere in part`,
    );
  }
  const xattrs = new Map<ByteString, Uint8Array>();
  for (const [name, value] of inode.xattrs) {
    if (name.startsWith(ESCAPED)) xattrs.set(PREFIX + name.slice(ESCAPED.length), value);
    else if (!name.startsWith(PREFIX)) xattrs.set(name, value);
  }
  return { ...inode, xattrs };
}
