import {
  closeSync,
  ftruncateSync,
  mkdtempSync,
  openSync,
  readSync,
  rmdirSync,
  unlinkSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { UruncError } from "../../errors.ts";

/** A run of bytes of a file that are kept; what lies between runs is zeros (a hole). */
export interface Run {
  /** Where in the file. */
  at: number;
  /** Where in the store. */
  position: number;
  length: number;
}

/** What a file has: its size in bytes and, in order and without overlap, the runs that are kept. */
export interface Content {
  size: number;
  runs: readonly Run[];
}

const BUFFER = 1 << 20;

/**
 * Temporary bytes of files, in one file that has no name any more: it is gone with the process, however that ends.
 * Files of one store share it, as making a file for each is what unpacking costs most.
 */
export class ContentStore {
  readonly #descriptor: number;
  readonly #directory: string;
  readonly #buffer = Buffer.allocUnsafe(BUFFER);
  #buffered = 0;
  #flushed = 0;

  /**
   * @param directory where there is room for all layers' files (default: the system's temporary directory)
   * @throws UruncError `file-system` if no file can be made there
   */
  constructor(directory: string = tmpdir()) {
    this.#directory = directory;
    try {
      const place = mkdtempSync(join(directory, ".urunc-layers-"));
      const path = join(place, "content");
      this.#descriptor = openSync(path, "wx+", 0o600);
      unlinkSync(path);
      rmdirSync(place);
    } catch (error) {
      throw this.#failure(error);
    }
  }

  /** Where the next byte is put. */
  get position(): number {
    return this.#flushed + this.#buffered;
  }

  /** @throws UruncError `file-system` if the disk is full */
  append(bytes: Uint8Array): void {
    if (bytes.length > BUFFER - this.#buffered) this.#flush();
    if (bytes.length >= BUFFER) {
      this.#write(bytes);
      return;
    }
    this.#buffer.set(bytes, this.#buffered);
    this.#buffered += bytes.length;
  }

  /** Bytes of the store, as many as there is room for. */
  readInto(target: Uint8Array, position: number): void {
    this.#flush();
    for (let done = 0; done < target.length; ) {
      const count = readSync(this.#descriptor, target, done, target.length - done, position + done);
      if (count === 0) throw new UruncError("internal", "the store of files' contents ends too early");
      done += count;
    }
  }

  /** Bytes of the store, in parts that are valid until the next is asked for. */
  *read(position: number, length: number): Generator<Uint8Array> {
    const part = Buffer.allocUnsafe(Math.min(length, BUFFER));
    for (let done = 0; done < length; done += part.length) {
      const some = part.subarray(0, length - done);
      this.readInto(some, position + done);
      yield some;
    }
  }

  /** A file's bytes from its start to its end, holes as zeros; parts are valid until the next is asked for. */
  *readAll(content: Content): Generator<Uint8Array> {
    yield* this.readRuns(content.runs, 0, content.size);
  }

  /** What some runs have of a file's bytes from `from` to before `to`, all else as zeros. */
  *readRuns(runs: readonly Run[], from: number, to: number): Generator<Uint8Array> {
    let at = from;
    for (const run of runs) {
      yield* zeros(run.at - at);
      yield* this.read(run.position, run.length);
      at = run.at + run.length;
    }
    yield* zeros(to - at);
  }

  close(): void {
    // Freed at once, even if a child process still has the descriptor.
    ftruncateSync(this.#descriptor, 0);
    closeSync(this.#descriptor);
  }

  #flush(): void {
    const length = this.#buffered;
    this.#buffered = 0;
    if (length > 0) this.#write(this.#buffer.subarray(0, length));
  }

  #write(bytes: Uint8Array): void {
    try {
      for (let done = 0; done < bytes.length; ) {
        done += writeSync(this.#descriptor, bytes, done, bytes.length - done, this.#flushed + done);
      }
    } catch (error) {
      throw this.#failure(error);
    }
    this.#flushed += bytes.length;
  }

  #failure(error: unknown): UruncError {
    const reason = error instanceof Error ? error.message : String(error);
    return new UruncError("file-system", `cannot keep the layers' files in ${this.#directory}: ${reason}`, {
      cause: error,
    });
  }
}

const ZEROS = Buffer.alloc(1 << 16);

/** Zeros in parts. */
export function* zeros(length: number): Generator<Uint8Array> {
  for (let rest = length; rest > 0; rest -= ZEROS.length)
    yield ZEROS.subarray(0, Math.min(rest, ZEROS.length));
}
