import { UruncError } from "../errors.ts";
import { find, insideRoot, makeDirectory } from "../image/layers/lookup.ts";
import { bytesOf, type Directory, plainDirectory } from "../image/layers/tree.ts";

/** Where something is mounted. */
export interface MountPoint {
  /** Absolute. */
  path: string;
  kind: "directory" | "file";
}

/** Makes what is mounted over, unless it is there: a machine that had to make it would change its root. */
export function addMountPoint(root: Directory, { path, kind }: MountPoint): void {
  const words = insideRoot(bytesOf(path));
  const name = words.pop();
  if (name === undefined || find(root, [...words, name]) !== undefined) return;
  try {
    const { directory } = makeDirectory(root, words, bytesOf(path));
    // A link that leads nowhere is the guest's to follow.
    if (directory.children.has(name)) return;
    const { children: _, ...metadata } = plainDirectory();
    directory.children.set(
      name,
      kind === "directory"
        ? plainDirectory()
        : { ...metadata, mode: 0o644, kind, content: { size: 0, runs: [] } },
    );
  } catch (error) {
    // Something on the way is no directory: the machine says so when it is started.
    if (!(error instanceof UruncError) || error.code !== "layer-invalid") throw error;
  }
}
