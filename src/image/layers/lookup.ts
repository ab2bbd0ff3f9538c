import { invalid } from "./tar-header.ts";
import { type ByteString, type Directory, type Inode, plainDirectory, shown } from "./tree.ts";

/** Links that one path may lead through, as many as Linux and containerd allow between them. */
const MAX_LINKS = 255;
/** Linux's longest name. */
const MAX_NAME = 255;
/** Linux's longest path is 4096 bytes; links may lead below that. */
const MAX_DEPTH = 4096;

/** A directory of the way from the root to a place, and the name in it that was taken. */
export interface Step {
  directory: Directory;
  name: ByteString;
}

/**
 * The names of a path from the root, `.` and `..` resolved by the text alone.
 *
 * @throws UruncError `layer-invalid` if `..` leads out of the root, or a name is longer than a file system has
 */
export function insideRoot(path: ByteString): ByteString[] {
  const words: ByteString[] = [];
  for (const word of path.split("/")) {
    if (word === "" || word === ".") continue;
    if (word !== "..") {
      if (word.length > MAX_NAME)
        throw invalid(`has a file name of more than ${MAX_NAME} bytes: ${shown(word)}`);
      words.push(word);
    } else if (words.pop() === undefined) {
      throw invalid(`has a path that leads out of the image: ${shown(path)}`);
    }
  }
  return words;
}

/** What is at a path, links followed also at its end. */
export function find(root: Directory, words: readonly ByteString[]): Inode | undefined {
  return walk(root, words, undefined)?.inode;
}

/**
 * The directory at a path, links followed, and the way to it. What is missing is made.
 *
 * @param path for the error
 * @param made what is made (default: as image tools do)
 * @throws UruncError `layer-invalid` if something on the way is neither a directory nor a link
 */
export function makeDirectory(
  root: Directory,
  words: readonly ByteString[],
  path: ByteString,
  made: () => Directory = plainDirectory,
): { directory: Directory; way: Step[] } {
  const { inode, way } = walk(root, words, { path, made }) as Walked;
  if (inode.kind !== "directory") throw notThere(path);
  return { directory: inode, way };
}

interface Walked {
  inode: Inode;
  way: Step[];
}

/**
 * Follows a path as the kernel does for a process whose root this is: `..` of the root is the root.
 *
 * @param making if given, directories that are missing are made, and its path is the error's
 */
function walk(
  root: Directory,
  words: readonly ByteString[],
  making: { path: ByteString; made: () => Directory } | undefined,
): Walked | undefined {
  let way: Step[] = [];
  let inode: Inode = root;
  let links = 0;
  const rest = [...words].reverse();
  for (let word = rest.pop(); word !== undefined; word = rest.pop()) {
    if (word === "" || word === ".") continue;
    if (inode.kind !== "directory") {
      if (making !== undefined) throw notThere(making.path);
      return undefined;
    }
    if (word === "..") {
      inode = way.pop()?.directory ?? root;
      continue;
    }
    let child: Inode | undefined = inode.children.get(word);
    if (child === undefined) {
      if (making === undefined) return undefined;
      if (word.length > MAX_NAME) throw notThere(making.path);
      child = making.made();
      inode.children.set(word, child);
    }
    if (child.kind === "link") {
      if (++links > MAX_LINKS) throw invalid(`has a path through more than ${MAX_LINKS} links`);
      rest.push(...child.target.split("/").reverse());
      if (child.target.startsWith("/")) {
        way = [];
        inode = root;
      }
      continue;
    }
    way.push({ directory: inode, name: word });
    if (way.length > MAX_DEPTH) throw invalid(`has directories more than ${MAX_DEPTH} deep`);
    inode = child;
  }
  return { inode, way };
}

function notThere(path: ByteString) {
  return invalid(`has a file ${shown(path)}, but what is on its way is no directory`);
}
