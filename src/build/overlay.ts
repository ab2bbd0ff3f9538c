import { isOpaque, isWhiteout, withoutOverlay } from "../image/layers/overlay.ts";
import { type Directory, type Inode, placesOf } from "../image/layers/tree.ts";
import type { TreeEntry } from "./entry.ts";

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
    if (isOpaque(inode)) entries.push({ kind: "opaque", path });
  }
  return entries;
}
