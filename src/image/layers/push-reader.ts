/** Ends with a value; stands still wherever more of its input must come. */
export type Reading<T> = Generator<undefined, T, undefined>;

/** What a reader has of its input: bytes that come in parts of any size, taken by counts. */
export class PushedInput {
  #part: Buffer = Buffer.alloc(0);
  #position = 0;
  #unneeded = 0;
  #isLast = false;

  /** Of the next byte in the input. */
  get position(): number {
    return this.#position;
  }

  /**
   * The next bytes: all of `count`, or fewer where the input ends. They are valid until more is asked for. `count` is
   * the caller's to bound.
   */
  *take(count: number): Reading<Buffer> {
    if (this.#part.length >= count) return this.#next(count);
    const taken = Buffer.allocUnsafe(count);
    for (let filled = 0; ; ) {
      const part = this.#next(count - filled);
      filled += part.copy(taken, filled);
      if (filled === count || this.#isLast) return taken.subarray(0, filled);
      yield;
    }
  }

  /**
   * Shows the next bytes in parts, each valid until `see` returns.
   *
   * @returns false where the input ends before `count`
   */
  *each(count: number, see: (part: Buffer) => void): Reading<boolean> {
    for (let rest = count; rest > 0; ) {
      const part = this.#next(rest);
      if (part.length > 0) see(part);
      else if (this.#isLast) return false;
      else yield;
      rest -= part.length;
    }
    return true;
  }

  /**
   * Passes over the next bytes.
   *
   * @returns false where the input ends before `count`
   */
  *passOver(count: number): Reading<boolean> {
    this.#unneeded = count - this.#next(count).length;
    while (this.#unneeded > 0) {
      if (this.#isLast) return false;
      yield;
      this.#unneeded -= this.#next(this.#unneeded).length;
    }
    return true;
  }

  /**
   * Passes over zeros.
   *
   * @returns false where nothing but zeros is left of the input
   */
  *passOverZeros(): Reading<boolean> {
    for (;;) {
      const zeros = this.#part.findIndex((byte) => byte !== 0);
      this.#next(zeros < 0 ? this.#part.length : zeros);
      if (zeros >= 0) return true;
      if (this.#isLast) return false;
      yield;
    }
  }

  /** For {@link PushReader}. */
  push(part: Uint8Array): void {
    this.#part = Buffer.from(part.buffer, part.byteOffset, part.byteLength);
  }

  /** For {@link PushReader}. */
  end(): void {
    this.#isLast = true;
  }

  /** For {@link PushReader}. */
  get unneeded(): number {
    return this.#unneeded;
  }

  /** For {@link PushReader}. */
  skip(count: number): void {
    this.#unneeded -= count;
    this.#position += count;
  }

  #next(most: number): Buffer {
    const taken = this.#part.subarray(0, most);
    this.#part = this.#part.subarray(taken.length);
    this.#position += taken.length;
    return taken;
  }
}

/**
 * Reads a format as it comes, without waiting: who has the input pushes it part by part. What the reading throws is
 * thrown by whatever made it go on, and it does not go on after that.
 */
export class PushReader<T = void> {
  readonly #input = new PushedInput();
  readonly #reading: Reading<T>;
  #result: { value: T } | undefined;

  constructor(read: (input: PushedInput) => Reading<T>) {
    this.#reading = read(this.#input);
  }

  /** What is read has come to its end: what is pushed from now on is not looked at. */
  get done(): boolean {
    return this.#result !== undefined;
  }

  /** How many bytes come next that nobody needs: who can {@link skip} them need not read them. */
  get unneeded(): number {
    return this.#input.unneeded;
  }

  /** @param part it may be written over when this returns */
  push(part: Uint8Array): void {
    this.#input.push(part);
    this.#goOn();
  }

  /** Stands for a push of so many bytes, {@link unneeded} at most. */
  skip(count: number): void {
    this.#input.skip(count);
    this.#goOn();
  }

  /** Says that nothing comes any more. */
  end(): T {
    this.#input.end();
    this.#goOn();
    return (this.#result as { value: T }).value;
  }

  #goOn(): void {
    if (this.#result !== undefined) return;
    const { done, value } = this.#reading.next();
    if (done) this.#result = { value };
  }
}
