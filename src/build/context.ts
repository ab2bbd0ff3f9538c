import { closeSync, openSync, readSync, realpathSync, statSync } from "node:fs";
import { join, resolve, sep } from "node:path";
import type { Located } from "../bunnyfile/position.ts";
import { wrongAt } from "../bunnyfile/position.ts";
import { UruncError } from "../errors.ts";
import type { ContentStore } from "../image/layers/content.ts";
import { type DirectoryOptions, treeOfDirectory } from "../image/layers/directory-reader.ts";
import { bytesOf, type Directory, type Inode, type Metadata, placesOf } from "../image/layers/tree.ts";

/** A file of the build's context. */
export interface ContextFile {
  /** Absolute, without links. */
  path: string;
  /** Bytes. */
  size: number;
  isDirectory: boolean;
  /** Permission bits. */
  mode: number;
}

/** The directory that a build takes its local files from. Nothing outside of it is read. */
export class Context {
  readonly directory: string;
  /** Seconds since 1970 that its files have in an image. */
  readonly #time: number;

  /** @throws UruncError `build` if there is no such directory */
  constructor(directory: string, time: number) {
    this.#time = time;
    try {
      this.directory = realpathSync(resolve(directory));
      if (!statSync(this.directory).isDirectory()) throw new Error("it is no directory");
    } catch (cause) {
      throw new UruncError(
        "build",
        `cannot read the build's context ${directory}: ${(cause as Error).message}`,
        {
          cause,
        },
      );
    }
  }

  /**
   * Finds a file; links that stay in the context are followed.
   *
   * @param name of the build file, for the sentence
   * @throws UruncError `build-file` at the place that names it
   */
  find({ value, at }: Located<string>, name: string): ContextFile {
    let path: string;
    try {
      path = realpathSync(join(this.directory, value));
    } catch (cause) {
      const reason =
        (cause as NodeJS.ErrnoException).code === "ENOENT" ? "" : ` (${(cause as Error).message})`;
      throw wrongAt(
        name,
        at,
        `there is no ${value} in the build's context ${this.directory}${reason}`,
        cause,
      );
    }
    if (path !== this.directory && !path.startsWith(this.directory === sep ? sep : this.directory + sep)) {
      throw wrongAt(
        name,
        at,
        `${value} is a link that leads out of the build's context: put the file itself there`,
      );
    }
    const status = statSync(path);
    if (!status.isFile() && !status.isDirectory()) {
      throw wrongAt(name, at, `${value} is neither a file nor a directory`);
    }
    return { path, size: status.size, isDirectory: status.isDirectory(), mode: status.mode & 0o7777 };
  }

  /** Finds a file that is no directory. */
  findFile(located: Located<string>, name: string): ContextFile {
    const file = this.find(located, name);
    if (!file.isDirectory) return file;
    throw wrongAt(name, located.at, `${located.value} is a directory, and a file is needed`);
  }

  /** What files of the context are in an image: root's, with the build's time, without attributes. */
  metadata(mode: number): Metadata {
    return { mode, uid: 0, gid: 0, mtime: { seconds: this.#time, nanoseconds: 0 }, xattrs: new Map() };
  }

  /** A file, or a directory with all that is in it, for a tree. */
  read(file: ContextFile, contents: ContentStore, signal?: AbortSignal): Inode {
    if (!file.isDirectory)
      return { ...this.metadata(file.mode), kind: "file", content: keep(file, contents) };
    return this.#described(
      treeOfDirectory(file.path, contents, { ...(signal ? { signal } : {}), attributes: false }),
    );
  }

  /** All of the context that is wanted, without what files have. */
  tree(contents: ContentStore, options: Pick<DirectoryOptions, "signal" | "wants" | "later">): Directory {
    return this.#described(treeOfDirectory(this.directory, contents, { ...options, attributes: false }));
  }

  #described(tree: Directory): Directory {
    for (const { inode } of placesOf(tree)) Object.assign(inode, this.metadata(inode.mode));
    return tree;
  }
}

function keep({ path, size }: ContextFile, contents: ContentStore) {
  const { position } = contents;
  let kept = 0;
  try {
    const descriptor = openSync(path, "r");
    try {
      const buffer = Buffer.allocUnsafe(1 << 20);
      for (;;) {
        const count = readSync(descriptor, buffer, 0, buffer.length, kept);
        if (count === 0) break;
        contents.append(buffer.subarray(0, count));
        kept += count;
      }
    } finally {
      closeSync(descriptor);
    }
  } catch (cause) {
    if (cause instanceof UruncError) throw cause;
    throw new UruncError("build", `cannot read ${path}: ${(cause as Error).message}`, { cause });
  }
  if (kept !== size) throw new UruncError("build", `${path} changed while it was read`);
  return { size, runs: size === 0 ? [] : [{ at: 0, position, length: size }] };
}

/** The last name of a path, as bytes. */
export function nameOf(path: string): string {
  return bytesOf(path.slice(path.lastIndexOf("/") + 1));
}
