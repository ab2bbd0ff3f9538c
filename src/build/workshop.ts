import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Source } from "../bunnyfile/bunnyfile.ts";
import { type Located, wrongAt } from "../bunnyfile/position.ts";
import { UruncError } from "../errors.ts";
import type { ContentStore } from "../image/layers/content.ts";
import { treeOfLayers } from "../image/layers/layers.ts";
import { find } from "../image/layers/lookup.ts";
import { bytesOf, type Directory, type Inode, type RegularFile } from "../image/layers/tree.ts";
import type { Access } from "../image/location.ts";
import type { Platform } from "../image/spec/platform.ts";
import { familiarName, formatReference, type Reference } from "../image/spec/reference.ts";
import { writeError } from "../image/store/file.ts";
import type { Layout } from "../image/store/layout.ts";
import type { CopyProgress } from "../image/transport.ts";
import { type BaseImage, resolveBase } from "./base.ts";
import type { Context } from "./context.ts";
import type { LayerEntry } from "./entry.ts";
import type { GuestFiles } from "./guest-files.ts";

/** What a build works with. */
export interface WorkshopOptions {
  /** The store; the caller keeps `Layout.using` around the build. */
  layout: Layout;
  access: Access;
  /** Where files of trees are kept meanwhile. */
  contents: ContentStore;
  context: Context;
  guest: GuestFiles;
  /** `SOURCE_DATE_EPOCH`: seconds since 1970 that nothing is newer than. */
  time: number | undefined;
  pull: "always" | "missing";
  progress: CopyProgress;
  /** Tells the user what is done. */
  say(line: string): void;
  signal: AbortSignal;
}

/** In the place of a registry's name: what is called so is no image of one. */
const PROVIDED = "build.invalid";

/** A file with its content, wherever that is. */
export type FileBytes =
  | { kind: "host"; path: string; size: number; mode: number }
  | { kind: "kept"; file: RegularFile };

/** An image that a build takes files from. */
export interface ImageFiles {
  /** It, if it is in the store. */
  base?: BaseImage;
  labels: Readonly<Record<string, string>>;
  /** Its files, in a tree of one's own. */
  unpack(): Promise<Directory>;
}

/** The images and files of one build for one platform; each image is looked up and unpacked once. */
export class Workshop {
  readonly options: WorkshopOptions;
  readonly platform: Platform;
  /** Of the build file, for sentences. */
  readonly name: string;
  readonly #bases = new Map<string, Promise<BaseImage>>();
  readonly #trees = new Map<string, Promise<Directory>>();
  #scratch: string | undefined;

  constructor(options: WorkshopOptions, platform: Platform, name: string) {
    this.options = options;
    this.platform = platform;
    this.name = name;
  }

  /** Seconds since 1970 of what the build itself makes. */
  get time(): number {
    return this.options.time ?? 0;
  }

  /** A directory for files on their way: `bunny prune` finds it, should nobody remove it. */
  get scratch(): string {
    const ingest = join(this.options.layout.directory, "ingest");
    while (this.#scratch === undefined) {
      mkdirSync(ingest, { recursive: true });
      try {
        this.#scratch = mkdtempSync(join(ingest, "build-"));
      } catch (error) {
        // The directory was tidied away in between.
        if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw writeError(error, ingest);
      }
    }
    return this.#scratch;
  }

  /** Removes what is on its way. */
  close(): void {
    if (this.#scratch !== undefined) rmSync(this.#scratch, { recursive: true, force: true });
    this.options.layout.tidy();
  }

  /** An image; what is wrong with it is said with the place that names it. */
  base({ value, at }: Located<Reference>): Promise<BaseImage> {
    const key = formatReference(value);
    let base = this.#bases.get(key);
    if (base === undefined) {
      const { layout, access, pull, progress } = this.options;
      base = resolveBase(value, this.platform, layout, access, { pull, progress }).catch((error) => {
        if (error instanceof UruncError) throw wrongAt(this.name, at, error.message, error);
        throw error;
      });
      this.#bases.set(key, base);
    }
    return base;
  }

  /** Takes what is to be built on, and is no image of a store or a registry; gives what it is called here. */
  provide(base: BaseImage): Reference {
    const reference = { registry: PROVIDED, repository: String(this.#bases.size), tag: "latest" };
    this.#bases.set(formatReference(reference), Promise.resolve(base));
    return reference;
  }

  /** The files of layers, in a tree of one's own. */
  async unpack({ layers: built }: Pick<BaseImage, "layers">): Promise<Directory> {
    const { layout, contents, signal } = this.options;
    const layers = built.map(({ descriptor }) => layout.openChecked(descriptor));
    return treeOfLayers(layers, contents, { signal });
  }

  /** An image's files, which are not unpacked before they are asked for. */
  async imageFiles(reference: Located<Reference>): Promise<ImageFiles> {
    const base = await this.base(reference);
    return { base, labels: base.image.process.labels, unpack: () => this.unpack(base) };
  }

  /** The files of an image: for looking, as others of the build look at the same. */
  files(reference: Located<Reference>): Promise<Directory> {
    const key = formatReference(reference.value);
    let tree = this.#trees.get(key);
    if (tree === undefined) {
      tree = this.imageFiles(reference).then((image) => image.unpack());
      this.#trees.set(key, tree);
    }
    return tree;
  }

  /** Finds a file or a directory; undefined where an image does not have it. */
  async find(source: Source): Promise<Inode | undefined> {
    if (source.kind === "local") {
      const file = this.options.context.find(source.path, this.name);
      return this.options.context.read(file, this.options.contents, this.options.signal);
    }
    return find(await this.files(source.reference), bytesOf(source.path.value).split("/"));
  }

  /** @throws UruncError `build-file` at the place that names it, if it is not there */
  async findAny(source: Source): Promise<Inode> {
    return (await this.find(source)) ?? this.#missing(source);
  }

  /** A file with its bytes, which are not copied if they are in the context. */
  async findFile(source: Source): Promise<FileBytes> {
    if (source.kind === "local") {
      const { path, size, mode } = this.options.context.findFile(source.path, this.name);
      return { kind: "host", path, size, mode };
    }
    const file = await this.findAny(source);
    if (file.kind === "file") return { kind: "kept", file };
    throw wrongAt(this.name, source.path.at, `${source.path.value} of the image is no regular file`);
  }

  #missing(source: Source): never {
    const where = source.kind === "local" ? "the build's context" : familiarName(source.reference.value);
    throw wrongAt(this.name, source.path.at, `there is no ${source.path.value} in ${where}`);
  }

  /** A file for a layer. */
  entry(path: string, file: FileBytes, mode: number): LayerEntry {
    const metadata = this.options.context.metadata(mode);
    if (file.kind === "host")
      return { kind: "host-file", path, metadata, source: file.path, size: file.size };
    return { kind: "inode", path, inode: { ...file.file, ...metadata } };
  }

  /** The first bytes of a file. */
  async start(file: FileBytes, length: number): Promise<Uint8Array> {
    if (file.kind === "host") return new Uint8Array(await Bun.file(file.path).slice(0, length).arrayBuffer());
    const { size } = file.file.content;
    const parts: Buffer[] = [];
    let read = 0;
    for (const part of this.options.contents.readAll(file.file.content)) {
      parts.push(Buffer.from(part));
      read += part.length;
      if (read >= length) break;
    }
    return Buffer.concat(parts).subarray(0, Math.min(length, size));
  }
}
