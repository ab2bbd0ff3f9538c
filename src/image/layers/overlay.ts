import { UruncError } from "../../errors.ts";
import { type ByteString, type Directory, type Inode, placesOf, shown } from "./tree.ts";

// Linux: Documentation/filesystems/overlayfs.rst.

/** Under what names an overlay keeps its marks: as root, and of a mount with the option `userxattr`. */
export type OverlayPrefix = "trusted.overlay." | "user.overlay.";

const PREFIX: OverlayPrefix = "trusted.overlay.";
const OPAQUE = `${PREFIX}opaque`;
const YES = Buffer.from("y");

/** A layer has a file that is elsewhere in part. */
export class ElsewhereError extends UruncError {
  constructor(path: ByteString) {
    super(
      "file-system",
      `${shown(path)} was changed in a way that overlays of this program are not: it is elsewhere in part`,
    );
  }
}

/** By which a file is not all that it seems. */
const ELSEWHERE = ["redirect", "metacopy", "whiteout"];

/** Whether a file of an overlay's layer says that there is none of this name. */
export function isWhiteout(inode: Inode): boolean {
  return inode.kind === "character" && inode.major === 0 && inode.minor === 0;
}

/** Whether a directory of an overlay's layer hides what lower layers have in it. */
export function isOpaque(inode: Inode, prefix: OverlayPrefix = PREFIX): boolean {
  const value = inode.kind === "directory" ? inode.xattrs.get(`${prefix}opaque`) : undefined;
  // "x" says that there are whiteouts of another form in it.
  return value !== undefined && Buffer.from(value).toString("latin1") === "y";
}

/**
 * A file without an overlay's own marks; those of an overlay inside of the overlay are its own again.
 *
 * @param path for the error
 * @throws ElsewhereError
 */
export function withoutOverlay(inode: Inode, path: ByteString, prefix: OverlayPrefix = PREFIX): Inode {
  const names = [...inode.xattrs.keys()];
  if (!names.some((name) => name.startsWith(prefix))) return inode;
  if (names.some((name) => ELSEWHERE.some((mark) => name === prefix + mark))) {
    throw new ElsewhereError(path);
  }
  const escaped = `${prefix}overlay.`;
  const xattrs = new Map<ByteString, Uint8Array>();
  for (const [name, value] of inode.xattrs) {
    if (name.startsWith(escaped)) xattrs.set(prefix + name.slice(escaped.length), value);
    else if (!name.startsWith(prefix)) xattrs.set(name, value);
  }
  return { ...inode, xattrs };
}

/**
 * A layer of an overlay with the marks that mean something to any overlay: whiteouts, and opaque directories.
 *
 * @throws ElsewhereError
 */
export function overlayLayer(layer: Directory, prefix: OverlayPrefix): Directory {
  return mapped(layer, (inode, path) => {
    const own = withoutMarks(withoutOverlay(inode, path, prefix));
    return isOpaque(inode, prefix) && own.kind === "directory" ? opaque(own) : own;
  });
}

/** Two layers of an overlay as one, which is over others what both are. */
export function stackLayers(below: Directory, above: Directory): Directory {
  if (isOpaque(above)) return above;
  const root = merged(below, above);
  const rest = [{ below, above, into: root }];
  for (let next = rest.pop(); next !== undefined; next = rest.pop()) {
    for (const [name, child] of next.above.children) {
      const lower = next.below.children.get(name);
      if (child.kind !== "directory" || lower === undefined || isOpaque(child)) {
        next.into.children.set(name, child);
      } else if (lower.kind === "directory") {
        const into = merged(lower, child);
        next.into.children.set(name, into);
        rest.push({ below: lower, above: child, into });
      } else {
        // What is below the file, or below the whiteout, is not seen.
        next.into.children.set(name, opaque(child));
      }
    }
  }
  return root;
}

/** What is seen of an overlay whose layers are this one alone. */
export function seenOf(layer: Directory): Directory {
  const tree = mapped(layer, withoutMarks);
  for (const { inode } of placesOf(tree)) {
    if (inode.kind !== "directory") continue;
    for (const [name, child] of inode.children) if (isWhiteout(child)) inode.children.delete(name);
  }
  return tree;
}

/** What a directory of two layers has before any name of the upper one. */
function merged(below: Directory, above: Directory): Directory {
  const both: Directory = { ...above, children: new Map(below.children) };
  return isOpaque(below) ? opaque(both) : both;
}

/** What overlays inside of the overlay have written would be the marks of the one that has these files as a layer. */
function withoutMarks(inode: Inode): Inode {
  const names = [...inode.xattrs.keys()];
  if (!names.some((name) => name.startsWith(PREFIX))) return inode;
  return { ...inode, xattrs: new Map([...inode.xattrs].filter(([name]) => !name.startsWith(PREFIX))) };
}

function opaque(directory: Directory): Directory {
  return { ...directory, xattrs: new Map([...directory.xattrs, [OPAQUE, YES]]) };
}

/** Another tree of the same names; a file of several names stays one. */
function mapped(root: Directory, change: (inode: Inode, path: ByteString) => Inode): Directory {
  const changed = new Map<Inode, Inode>();
  const places = placesOf(root);
  for (const { path, inode, first } of places) {
    if (!first) continue;
    const own = change(inode, path);
    changed.set(inode, own.kind === "directory" ? { ...own, children: new Map(own.children) } : own);
  }
  for (const own of changed.values()) {
    if (own.kind !== "directory") continue;
    for (const [name, child] of own.children) own.children.set(name, changed.get(child) as Inode);
  }
  return changed.get(root) as Directory;
}
