import { wrongAt } from "../../bunnyfile/position.ts";
import { type IgnoreRules, ignoreRules } from "../../containerfile/ignore.ts";
import { hasWildcards } from "../../containerfile/paths.ts";
import type { CopySource, CopyStep } from "../../containerfile/plan.ts";
import { InstructionError } from "../../containerfile/wrong.ts";
import { UruncError } from "../../errors.ts";
import { accountsOf } from "../../image/accounts.ts";
import { find } from "../../image/layers/lookup.ts";
import {
  type ByteString,
  bytesOf,
  type Directory,
  type Inode,
  plainDirectory,
} from "../../image/layers/tree.ts";
import { plainMetadata, type TreeEntry } from "../entry.ts";
import { addedTo, COPY, inodesOf, place, UNPACK } from "../placement.ts";
import { copyTree } from "./copy-tree.ts";
import { filesMatching, type Match } from "./glob.ts";
import type { Origin } from "./origin.ts";
import { type Owner, ownerOf } from "./owner.ts";
import type { StageFiles } from "./stage-files.ts";
import { unpackArchive } from "./unpack.ts";

export interface CopyOptions {
  /** Of the build file, for sentences. */
  name: string;
  /** Seconds since 1970 of files that the build file has in itself. */
  time: number;
  signal: AbortSignal;
  say(line: string): void;
}

/** Errors that are about what the step says. */
const OF_THE_STEP: ReadonlySet<string> = new Set(["build", "usage", "layer-invalid", "not-supported"]);

/** What a source of COPY or ADD comes to. */
type Found =
  | { kind: "files"; matches: Match[]; below: number }
  | { kind: "inline"; name: string; content: string };

/**
 * Finds what COPY or ADD copies.
 *
 * @throws UruncError `build-file` for a source that is not there; `not-supported` for one that is elsewhere
 */
export async function findSources(step: CopyStep, origin: Origin, options: CopyOptions): Promise<Found[]> {
  const found: Found[] = [];
  for (const source of step.sources) {
    if (source.kind === "url") {
      throw new UruncError(
        "not-supported",
        `${options.name}:${step.at.line}:${step.at.column}: ADD of a URL is not supported: fetch ${source.url} before the ` +
          "build, or in a RUN",
      );
    }
    if (source.kind === "inline") found.push(source);
    else {
      const below = source.below.split("/").filter((word) => word !== "").length;
      found.push({ kind: "files", matches: await matchesOf(source, step, origin, options), below });
    }
  }
  return found;
}

async function matchesOf(
  { path }: Extract<CopySource, { kind: "path" }>,
  step: CopyStep,
  origin: Origin,
  { name, say }: CopyOptions,
): Promise<Match[]> {
  const root = await origin.tree();
  if (!hasWildcards(path)) {
    const words = path
      .split("/")
      .filter((word) => word !== "")
      .map(bytesOf);
    const inode = find(root, words);
    if (inode !== undefined) return [{ words, inode }];
    throw wrongAt(name, step.at, `there is no /${path} in ${origin.called}`);
  }
  try {
    const matches = filesMatching(root, path);
    // BuildKit takes it, too.
    if (matches.length === 0) {
      say(`${name}:${step.at.line}:${step.at.column}: nothing in ${origin.called} matches /${path}`);
    }
    return matches;
  } catch (error) {
    if (!(error instanceof InstructionError)) throw error;
    throw wrongAt(name, step.at, `${error.message}: ${path}`, error);
  }
}

/** What tells the files that COPY or ADD copies from others. */
export async function keyOfSources(found: readonly Found[], origin: Origin): Promise<string[]> {
  const keys = found.map(async (source) => {
    if (source.kind === "inline") return ["inline", source.name, source.content];
    const paths = source.matches.map(({ words }) => words.join("/"));
    return [...paths, ...(await origin.key(async () => source.matches.map(({ inode }) => inode), paths))];
  });
  return (await Promise.all(keys)).flatMap((key) => [String(key.length), ...key]);
}

/**
 * Copies into the files of a stage, by BuildKit's rules.
 *
 * @returns the layer; the stage's tree is changed already
 * @throws UruncError `build-file` for what cannot be put where it is to be
 */
export async function copyInto(
  files: StageFiles,
  step: CopyStep,
  found: readonly Found[],
  origin: Origin,
  options: CopyOptions,
): Promise<TreeEntry[]> {
  const { name } = options;
  const root = await files.tree();
  const before = inodesOf(root);
  const copier = new Copier(files, step, origin, options);
  try {
    const owner =
      step.chown === undefined ? undefined : ownerOf(step.chown, accountsOf(root, files.contents));
    await copier.copyAll(root, found, owner);
  } catch (error) {
    const isOurs = error instanceof UruncError && OF_THE_STEP.has(error.code);
    if (!isOurs && !(error instanceof InstructionError)) throw error;
    throw wrongAt(name, step.at, error.message, error);
  }
  return addedTo(root, before);
}

class Copier {
  readonly #files: StageFiles;
  readonly #step: CopyStep;
  readonly #origin: Origin;
  readonly #options: CopyOptions;
  readonly #excludes: IgnoreRules | undefined;

  constructor(files: StageFiles, step: CopyStep, origin: Origin, options: CopyOptions) {
    this.#files = files;
    this.#step = step;
    this.#origin = origin;
    this.#options = options;
    this.#excludes = step.excludes.length === 0 ? undefined : ignoreRules(step.excludes);
  }

  async copyAll(root: Directory, found: readonly Found[], owner: Owner | undefined): Promise<void> {
    const rules = { ...COPY, ...(owner === undefined ? {} : { owner }) };
    const destination = bytesOf(this.#step.destination);
    for (const source of found) {
      if (source.kind === "inline") {
        const file = this.#changed(this.#inline(source.content), owner);
        place(root, file, bytesOf(source.name), destination, rules);
        continue;
      }
      for (const match of source.matches) {
        this.#options.signal.throwIfAborted();
        const archive = await this.#archive(match);
        if (archive !== undefined) {
          place(root, archive, "", destination, { ...rules, ...UNPACK });
          continue;
        }
        const copy = this.#copyOf(match, owner);
        if (copy === undefined) continue;
        const name = match.words.at(-1) ?? "";
        const inode = this.#step.parents ? await this.#withParents(copy, match, source.below) : copy;
        place(root, inode, name, destination, rules);
      }
    }
  }

  /** The files of an archive that ADD unpacks. */
  async #archive({ words, inode }: Match): Promise<Directory | undefined> {
    if (this.#step.kind !== "add" || this.#step.unpack === false || inode.kind !== "file") return undefined;
    const name = Buffer.from(words.at(-1) ?? "", "latin1").toString();
    const content = this.#origin.content(inode);
    return unpackArchive(content, name, this.#files.contents, this.#options.signal);
  }

  #inline(content: string): Inode {
    const bytes = Buffer.from(content);
    const { position } = this.#files.contents;
    this.#files.contents.append(bytes);
    const runs = bytes.length === 0 ? [] : [{ at: 0, position, length: bytes.length }];
    const metadata = { ...plainMetadata(0o644), mtime: { seconds: this.#options.time, nanoseconds: 0 } };
    return { ...metadata, kind: "file", content: { size: bytes.length, runs } };
  }

  /** A copy of a file, or of a directory with what is in it, without what is excluded. */
  #copyOf({ words, inode }: Match, owner: Owner | undefined): Inode | undefined {
    const top = Buffer.from(words.at(-1) ?? "", "latin1").toString();
    if (inode.kind !== "directory") {
      return this.#excludes?.isIgnored(top) ? undefined : this.#changed(inode, owner);
    }
    return copyTree(inode, (original) => this.#changed(original, owner), this.#excludes);
  }

  #changed(inode: Inode, owner: Owner | undefined): Inode {
    const { chmod } = this.#step;
    const mode = chmod === undefined || inode.kind === "link" ? {} : { mode: chmod };
    const metadata = { ...owner, ...mode };
    if (inode.kind === "directory") return { ...inode, ...metadata, children: new Map() };
    if (inode.kind === "file") return { ...inode, ...metadata, content: this.#origin.content(inode) };
    return { ...inode, ...metadata };
  }

  /** A file below the last directories of its path. */
  async #withParents(copy: Inode, { words }: Match, below: number): Promise<Directory> {
    const root = plainDirectory();
    const tree = await this.#origin.tree();
    const start = words.length - below;
    let directory = root;
    for (let end = start + 1; end < words.length; end++) {
      const original = find(tree, words.slice(0, end));
      const parent: Directory =
        original?.kind === "directory" ? { ...original, children: new Map() } : plainDirectory();
      directory.children.set(words[end - 1] as ByteString, parent);
      directory = parent;
    }
    const name = words.at(-1);
    if (name === undefined || below === 0) return copy.kind === "directory" ? copy : root;
    directory.children.set(name, copy);
    return root;
  }
}
