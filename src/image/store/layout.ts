import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  statSync,
  utimesSync,
} from "node:fs";
import { uptime } from "node:os";
import { join } from "node:path";
import { writeAtomically } from "../../container/directory.ts";
import { UruncError } from "../../errors.ts";
import { digestOf, parseDigest } from "../spec/digest.ts";
import { type Descriptor, type Index, MAXIMUM_MANIFEST, parseManifest } from "../spec/manifest.ts";
import { OCI_INDEX } from "../spec/media-type.ts";
import { type Chunks, ContentError, readVerified, verified } from "../spec/verify.ts";
import { readFilePart, writeError } from "./file.ts";
import { type Lock, lockDirectory } from "./flock.ts";
import { ingest } from "./ingest.ts";

/** An image's name in a layout: image-spec `annotations.md`. */
export const REFERENCE_NAME = "org.opencontainers.image.ref.name";

/** Content that comes in pieces from an offset on, in bytes. */
export type Opener = (offset: number) => Chunks;

/**
 * An OCI image layout, image-spec `image-layout.md`: content by digest in `blobs/`, names in `index.json`. Any number of
 * processes may use it at once. A blob has its name only once it is whole and verified; what is on its way is in
 * `ingest/` and is continued by whoever asks for it next. Nothing waits for the disk: a blob that a loss of power
 * has shortened is not there, and one that it has damaged is found by {@link openChecked}. Whoever adds holds the directory's lock together with others;
 * whoever removes holds it alone.
 */
export class Layout {
  readonly directory: string;

  private constructor(directory: string) {
    this.directory = directory;
  }

  /**
   * A layout that is there.
   *
   * @throws UruncError `image-missing` or `image-invalid`
   */
  static open(directory: string): Layout {
    const layout = new Layout(directory);
    layout.#checkVersion();
    return layout;
  }

  /**
   * A layout that is made where there is none yet.
   *
   * @throws UruncError `store` where it cannot be made, or `image-invalid` if the directory holds other things
   */
  static openOrCreate(directory: string): Layout {
    const layout = new Layout(directory);
    if (existsSync(join(directory, "oci-layout"))) {
      layout.#checkVersion();
      return layout;
    }
    try {
      mkdirSync(directory, { recursive: true, mode: 0o755 });
      // Another process may be making it.
      const others = readdirSync(directory).filter(
        (name) => !/^(blobs|ingest|index\.json|oci-layout)/.test(name),
      );
      if (others.length > 0) {
        throw new UruncError(
          "image-invalid",
          `${directory} is no image layout and holds ${others[0]}: name an empty directory or one that is not there`,
        );
      }
      mkdirSync(join(directory, "blobs/sha256"), { recursive: true });
      writeAtomically(join(directory, "oci-layout"), '{"imageLayoutVersion":"1.0.0"}', 0o644);
    } catch (error) {
      throw writeError(error, directory);
    }
    return layout;
  }

  #checkVersion(): void {
    const path = join(this.directory, "oci-layout");
    let version: unknown;
    try {
      version = (JSON.parse(readFileSync(path, "utf8")) as Record<string, unknown>)["imageLayoutVersion"];
    } catch (cause) {
      if (["ENOENT", "ENOTDIR"].includes((cause as NodeJS.ErrnoException).code ?? "")) {
        throw new UruncError("image-missing", `${this.directory} is no image layout: it has no oci-layout`, {
          cause,
        });
      }
      throw new UruncError("image-invalid", `${path} cannot be read: ${(cause as Error).message}`, { cause });
    }
    if (version !== "1.0.0") {
      throw new UruncError(
        "image-invalid",
        `${path} is of version ${JSON.stringify(version)}: 1.0.0 is understood`,
      );
    }
  }

  /** Runs what adds to the layout or reads it: nothing is removed meanwhile. */
  async using<T>(work: () => Promise<T>): Promise<T> {
    const lock = await lockDirectory(this.directory, "shared");
    try {
      return await work();
    } finally {
      lock.release();
    }
  }

  /**
   * Keeps everybody else out, for what removes.
   *
   * @param wait false: undefined where others use the layout
   */
  async alone(wait: boolean): Promise<Lock | undefined> {
    return lockDirectory(this.directory, "exclusive", wait);
  }

  /** The names and what they lead to; an empty one where there is none yet. */
  index(): Index {
    const path = join(this.directory, "index.json");
    let bytes: Uint8Array;
    try {
      bytes = readFileSync(path);
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === "ENOENT") {
        return { kind: "index", mediaType: OCI_INDEX, manifests: [], annotations: {} };
      }
      throw new UruncError("store", `cannot read ${path}: ${(cause as Error).message}`, { cause });
    }
    const index = parseManifest(bytes, path, OCI_INDEX);
    if (index.kind !== "index") throw new UruncError("image-invalid", `${path} is no index`);
    return index;
  }

  /** What a name leads to, or undefined. */
  find(name: string): Descriptor | undefined {
    return this.index().manifests.find((descriptor) => descriptor.annotations?.[REFERENCE_NAME] === name);
  }

  /** Gives a name, or an image without one, its place in the index. Whatever had the name before loses it. */
  async add(descriptor: Descriptor, name: string | undefined): Promise<void> {
    await this.changeIndex((manifests) => {
      const { annotations = {}, ...rest } = descriptor;
      const { [REFERENCE_NAME]: _, ...others } = annotations;
      const kept = manifests.filter((one) =>
        name === undefined
          ? one.digest !== descriptor.digest || one.annotations?.[REFERENCE_NAME] !== undefined
          : one.annotations?.[REFERENCE_NAME] !== name,
      );
      const all = name === undefined ? others : { ...others, [REFERENCE_NAME]: name };
      return [...kept, Object.keys(all).length === 0 ? rest : { ...rest, annotations: all }];
    });
  }

  /** Rewrites the index while nobody else does. */
  async changeIndex(change: (manifests: Descriptor[]) => Descriptor[]): Promise<void> {
    const lock = await lockDirectory(join(this.directory, "blobs"), "exclusive");
    try {
      const index = this.index();
      const document = {
        schemaVersion: 2,
        mediaType: OCI_INDEX,
        manifests: change(index.manifests),
        ...(Object.keys(index.annotations).length === 0 ? {} : { annotations: index.annotations }),
      };
      writeAtomically(join(this.directory, "index.json"), JSON.stringify(document), 0o644);
    } catch (error) {
      throw writeError(error, this.directory);
    } finally {
      lock.release();
    }
  }

  /** The file of a blob, whether it is there or not. */
  blobPath(digest: string): string {
    const { algorithm, encoded } = parseDigest(digest);
    return join(this.directory, "blobs", algorithm, encoded);
  }

  /** Whether a blob is there with its size. */
  has({ digest, size }: Pick<Descriptor, "digest" | "size">): boolean {
    const status = statSync(this.blobPath(digest), { throwIfNoEntry: false });
    return status?.isFile() === true && status.size === size;
  }

  /**
   * A blob's content, not verified.
   *
   * @throws UruncError `image-missing`
   */
  open(descriptor: Descriptor, offset = 0): Chunks {
    const path = this.blobPath(descriptor.digest);
    if (!existsSync(path)) {
      throw new UruncError("image-missing", `${this.directory} lacks the content ${descriptor.digest}`);
    }
    return readFilePart(path, offset);
  }

  /**
   * A blob's content, verified once after each start of the system: what was written before it may not have come to the
   * disk. What is not right is removed, so that it can be brought there again.
   *
   * @throws UruncError `image-missing`, `image-invalid`
   */
  async *openChecked(descriptor: Descriptor): Chunks {
    const path = this.blobPath(descriptor.digest);
    const started = Date.now() - uptime() * 1000;
    const written = statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
    if (written < started) {
      try {
        for await (const _ of verified(descriptor, this.open(descriptor)));
      } catch (error) {
        if (!(error instanceof ContentError)) throw error;
        rmSync(path, { force: true });
        const sentence = `${error.message}; it was removed from ${this.directory}: bring the image there again`;
        throw new UruncError(error.code, sentence, { cause: error });
      }
      touch(path);
    }
    yield* this.open(descriptor);
  }

  /** A manifest's or an index's bytes, verified. */
  manifestBytes(descriptor: Descriptor): Promise<Uint8Array> {
    return readVerified(descriptor, this.open(descriptor), MAXIMUM_MANIFEST);
  }

  /**
   * Adds a blob, unless it is there. Of several who add the same at once one does, and the others wait for it.
   *
   * @param open gives the content from an offset on: what is there of an earlier attempt is not asked for again
   * @returns whether it was there already
   * @throws UruncError `image-invalid` for content that is not what the descriptor says, and what `open` throws; what
   *   has come until then is kept, but for the former
   */
  async addBlob(
    descriptor: Descriptor,
    open: Opener,
    onProgress: (bytes: number) => void = () => {},
  ): Promise<"present" | "added"> {
    if (this.has(descriptor)) return "present";
    try {
      return await ingest(this, descriptor, open, onProgress);
    } catch (error) {
      throw writeError(error, this.directory);
    }
  }

  /** Adds bytes that are at hand, and gives their descriptor. */
  async addBytes(bytes: Uint8Array, mediaType: string): Promise<Descriptor> {
    const descriptor = { mediaType, digest: digestOf(bytes), size: bytes.length };
    await this.addBlob(descriptor, async function* (offset) {
      yield bytes.subarray(offset);
    });
    return descriptor;
  }

  /** Removes the directory for what is on its way, if nothing is. */
  tidy(): void {
    try {
      rmdirSync(join(this.directory, "ingest"));
    } catch {
      // It is in use, or was never made.
    }
  }
}

/** Says that a file is as it should be now; of a store that is another's nobody can. */
function touch(path: string): void {
  try {
    utimesSync(path, new Date(), new Date());
  } catch (error) {
    if (!["EPERM", "EACCES", "EROFS"].includes((error as NodeJS.ErrnoException).code ?? "")) throw error;
  }
}
