import { UruncError } from "../../errors.ts";
import { parseDigest } from "./digest.ts";
import type { Descriptor } from "./manifest.ts";

/** Content in pieces; whoever reads decides the pace. */
export type Chunks = AsyncIterable<Uint8Array>;

/** Checks content against its descriptor while it passes. */
export class Verifier {
  readonly #hasher: Bun.CryptoHasher;
  readonly #descriptor: Descriptor;
  #size = 0;

  constructor(descriptor: Descriptor) {
    this.#descriptor = descriptor;
    this.#hasher = new Bun.CryptoHasher(parseDigest(descriptor.digest).algorithm);
  }

  /** Bytes so far. */
  get size(): number {
    return this.#size;
  }

  /** @throws UruncError `image-invalid` as soon as there are too many bytes */
  update(chunk: Uint8Array): void {
    this.#size += chunk.length;
    if (this.#size > this.#descriptor.size) {
      throw new ContentError(
        `the content ${this.#descriptor.digest} has more than its ${this.#descriptor.size} bytes: it is not what its manifest names`,
      );
    }
    this.#hasher.update(chunk);
  }

  /** @throws UruncError `image-invalid` for too few bytes or others */
  finish(): void {
    const { digest, size } = this.#descriptor;
    if (this.#size !== size) {
      throw new ContentError(
        `the content ${digest} has ${this.#size} bytes in the place of ${size}: it is truncated`,
      );
    }
    const { algorithm } = parseDigest(digest);
    const found = `${algorithm}:${this.#hasher.digest("hex")}`;
    if (found !== digest)
      throw new ContentError(`the content ${digest} was damaged: what came has the digest ${found}`);
  }
}

/** Content that is not what its descriptor says. */
export class ContentError extends UruncError {
  constructor(sentence: string) {
    super("image-invalid", sentence);
  }
}

/** Passes content on and checks it; what is wrong is thrown at its end at the latest. */
export async function* verified(descriptor: Descriptor, chunks: Chunks): AsyncGenerator<Uint8Array> {
  const verifier = new Verifier(descriptor);
  for await (const chunk of chunks) {
    verifier.update(chunk);
    yield chunk;
  }
  verifier.finish();
}

/**
 * The whole of small content, checked.
 *
 * @param maximum bytes that are accepted
 * @throws UruncError `image-invalid`
 */
export async function readVerified(
  descriptor: Descriptor,
  chunks: Chunks,
  maximum: number,
): Promise<Uint8Array> {
  if (descriptor.size > maximum) {
    throw new ContentError(
      `the content ${descriptor.digest} has ${descriptor.size} bytes: at most ${maximum} are accepted of its kind`,
    );
  }
  const parts: Uint8Array[] = [];
  for await (const part of verified(descriptor, chunks)) parts.push(part.slice());
  return Buffer.concat(parts);
}
