import { createHash } from "node:crypto";
import type { Content, ContentStore } from "../../image/layers/content.ts";
import {
  type Directory,
  type Inode,
  placesOf,
  plainDirectory,
  type RegularFile,
} from "../../image/layers/tree.ts";
import type { Context } from "../context.ts";

/** Where files are copied from. Nobody changes its tree. */
export interface Origin {
  /** As a sentence has it: `the build's context`. */
  called: string;
  tree(): Promise<Directory>;
  /** What a file of the tree has. */
  content(file: RegularFile): Content;
  /**
   * What tells what is copied from anything else; the same files may have several.
   *
   * @param inodes files of the tree, with all that is in them
   * @param paths of the same
   */
  key(inodes: () => Promise<readonly Inode[]>, paths: readonly string[]): Promise<string[]>;
}

/** No files at all. */
export function emptyOrigin(): Origin {
  return {
    called: "scratch",
    tree: async () => plainDirectory(),
    content: (file) => file.content,
    key: async (_, paths) => ["scratch", ...paths],
  };
}

/**
 * Files of layers.
 *
 * @param layers what tells them from others
 */
export function layersOrigin(
  called: string,
  layers: readonly string[],
  tree: () => Promise<Directory>,
): Origin {
  return {
    called,
    tree,
    content: (file) => file.content,
    key: async (_, paths) => ["layers", ...layers, "paths", ...paths],
  };
}

/**
 * The context. Files are read when they are copied.
 *
 * @param wants as `.dockerignore` says
 */
export function contextOrigin(
  context: Context,
  contents: ContentStore,
  wants: (path: string, isDirectory: boolean) => "yes" | "no" | "within",
  signal: AbortSignal,
): Origin {
  const keeps = new Map<RegularFile, () => Content>();
  const digests = new Map<RegularFile, string>();
  let tree: Directory | undefined;
  const content = (file: RegularFile) => {
    const keep = keeps.get(file);
    if (keep === undefined) return file.content;
    signal.throwIfAborted();
    keeps.delete(file);
    file.content = keep();
    return file.content;
  };
  const digestOf = (file: RegularFile) => {
    let digest = digests.get(file);
    if (digest === undefined) {
      const hash = createHash("sha256");
      for (const part of contents.readAll(content(file))) hash.update(part);
      digest = hash.digest("hex");
      digests.set(file, digest);
    }
    return digest;
  };
  return {
    called: "the build's context",
    async tree() {
      tree ??= context.tree(contents, { signal, wants, later: (file, keep) => void keeps.set(file, keep) });
      return tree;
    },
    content,
    async key(inodes) {
      return (await inodes()).flatMap((inode) => describe(inode, digestOf));
    },
  };
}

/** A line for each file: all that is copied of it. */
function describe(top: Inode, digestOf: (file: RegularFile) => string): string[] {
  // The root of a walk is a directory, whatever is described.
  const root: Directory = { ...plainDirectory(), children: new Map([["", top]]) };
  const first = new Map<Inode, string>();
  return placesOf(root)
    .slice(1)
    .map(({ path, inode }) => {
      const same = first.get(inode);
      if (same === undefined) first.set(inode, path);
      return JSON.stringify([
        path,
        inode.kind,
        inode.mode,
        same ?? null,
        "target" in inode ? inode.target : null,
        "major" in inode ? [inode.major, inode.minor] : null,
        inode.kind === "file" ? digestOf(inode) : null,
      ]);
    });
}
