import { randomUUID } from "node:crypto";
import { closeSync, fsyncSync, ftruncateSync, openSync, renameSync, rmSync, writeSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { UruncError } from "../../errors.ts";
import type { Content, ContentStore, Run } from "../layers/content.ts";

const BUFFER = 1 << 20;

/** Less than this is written as zeros: a call for each part would cost more than the room. */
const LEAST_HOLE = 16_384;

/** A file that is written from its start to its end; what is passed over is zeros and mostly takes no room. */
export class Output {
  readonly #descriptor: number;
  readonly #buffer = Buffer.allocUnsafe(BUFFER);
  #buffered = 0;
  #flushed = 0;

  constructor(descriptor: number) {
    this.#descriptor = descriptor;
  }

  /** Where the next byte is put. */
  get position(): number {
    return this.#flushed + this.#buffered;
  }

  /** Passes over bytes, which become zeros. Never back: what is there would be lost. */
  seek(position: number): void {
    const gap = position - this.position;
    if (gap < 0)
      throw new UruncError("internal", `an image is written at ${position} after ${this.position}`);
    if (gap <= Math.min(LEAST_HOLE, BUFFER - this.#buffered)) {
      this.#buffer.fill(0, this.#buffered, this.#buffered + gap);
      this.#buffered += gap;
    } else {
      this.#flush();
      this.#flushed = position;
    }
  }

  write(bytes: Uint8Array): void {
    if (bytes.length > BUFFER - this.#buffered) this.#flush();
    if (bytes.length >= BUFFER) {
      this.#write(bytes);
      return;
    }
    this.#buffer.set(bytes, this.#buffered);
    this.#buffered += bytes.length;
  }

  /**
   * Writes bytes that are made where they are written from.
   *
   * @param fill gives `part` the bytes from `done` on, all of them
   */
  writeFrom(length: number, fill: (part: Buffer, done: number) => void): void {
    for (let done = 0; done < length; ) {
      if (this.#buffered === BUFFER) this.#flush();
      const count = Math.min(length - done, BUFFER - this.#buffered);
      fill(this.#buffer.subarray(this.#buffered, this.#buffered + count), done);
      this.#buffered += count;
      done += count;
    }
  }

  /** Writes what is left, and makes the file as long as it is to be. */
  finish(size: number): void {
    this.#flush();
    ftruncateSync(this.#descriptor, size);
  }

  #flush(): void {
    const length = this.#buffered;
    this.#buffered = 0;
    if (length > 0) this.#write(this.#buffer.subarray(0, length));
  }

  #write(bytes: Uint8Array): void {
    for (let done = 0; done < bytes.length; ) {
      done += writeSync(this.#descriptor, bytes, done, bytes.length - done, this.#flushed + done);
    }
    this.#flushed += bytes.length;
  }
}

export interface FileOptions {
  /**
   * Whether it is there after a loss of power, too (default: no, as with other tools' files). For what is looked for by
   * its name alone later.
   */
  durable?: boolean;
}

/**
 * Makes a file that is there whole or not at all; one that is there is replaced.
 *
 * @param make writes it and gives its size in bytes
 * @throws UruncError `file-system` if it cannot be written; what `make` throws. The file is as it was then
 */
export function makeFile(path: string, make: (output: Output) => number, options: FileOptions = {}): number {
  const partial = join(dirname(path), `.${basename(path)}.${randomUUID().slice(0, 8)}.partial`);
  let descriptor: number | undefined;
  try {
    descriptor = openSync(partial, "wx", 0o666);
    const output = new Output(descriptor);
    const size = make(output);
    output.finish(size);
    if (options.durable) fsyncSync(descriptor);
    closeSync(descriptor);
    descriptor = undefined;
    renameSync(partial, path);
    return size;
  } catch (error) {
    if (descriptor !== undefined) closeSync(descriptor);
    rmSync(partial, { force: true });
    if (error instanceof UruncError) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new UruncError("file-system", `cannot write ${path}: ${reason}`, { cause: error });
  }
}

/**
 * Writes a part of a file's content where the output is, and passes over its holes: the output may stand before `to`
 * afterwards.
 *
 * @param from the first byte of the file
 * @param to the byte behind the last
 */
export function writePart(
  output: Output,
  store: ContentStore,
  content: Content,
  from: number,
  to: number,
): void {
  const origin = output.position - from;
  const { runs } = content;
  for (let index = firstRunAfter(runs, from); index < runs.length; index++) {
    const run = runs[index] as Run;
    if (run.at >= to) return;
    const start = Math.max(run.at, from);
    const end = Math.min(run.at + run.length, to);
    output.seek(origin + start);
    const position = run.position + start - run.at;
    output.writeFrom(end - start, (part, done) => store.readInto(part, position + done));
  }
}

/** The index of the first run that ends after a byte. */
function firstRunAfter(runs: readonly Run[], byte: number): number {
  let low = 0;
  let high = runs.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const { at, length } = runs[middle] as Run;
    if (at + length > byte) high = middle;
    else low = middle + 1;
  }
  return low;
}
