/** A stream of parts of any size, read by counts of bytes. */
export class ByteReader {
  readonly #parts: AsyncIterator<Uint8Array>;
  #part: Buffer = Buffer.alloc(0);
  #ended = false;

  constructor(input: AsyncIterable<Uint8Array>) {
    this.#parts = input[Symbol.asyncIterator]();
  }

  /**
   * The next bytes: all of `count`, or fewer where the stream ends. They are valid until the next call. `count` is
   * the caller's to bound.
   */
  async take(count: number): Promise<Buffer> {
    if (this.#part.length < count) {
      const parts = [this.#part];
      let length = this.#part.length;
      while (length < count && (await this.#next())) {
        parts.push(this.#part);
        length += this.#part.length;
      }
      this.#part = Buffer.concat(parts);
    }
    const taken = this.#part.subarray(0, count);
    this.#part = this.#part.subarray(taken.length);
    return taken;
  }

  /** What comes next, at most `most` bytes of it and at least one; nothing at the stream's end. */
  async takeSome(most: number): Promise<Buffer> {
    if (this.#part.length === 0 && !(await this.#next())) return this.#part;
    const taken = this.#part.subarray(0, most);
    this.#part = this.#part.subarray(taken.length);
    return taken;
  }

  /** Lets the stream go: whoever makes it may end. */
  async close(): Promise<void> {
    if (!this.#ended) await this.#parts.return?.();
  }

  async #next(): Promise<boolean> {
    while (!this.#ended) {
      const next = await this.#parts.next();
      if (next.done) {
        this.#ended = true;
        break;
      }
      if (next.value.length === 0) continue;
      const { buffer, byteOffset, byteLength } = next.value;
      this.#part = Buffer.from(buffer, byteOffset, byteLength);
      return true;
    }
    this.#part = Buffer.alloc(0);
    return false;
  }
}
