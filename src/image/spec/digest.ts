import { UruncError } from "../../errors.ts";

/** The algorithms that image-spec `descriptor.md` registers, with the length of their encoding. */
const ENCODED_LENGTH = { sha256: 64, sha512: 128 } as const;

export type DigestAlgorithm = keyof typeof ENCODED_LENGTH;

/** A digest in its parts: `sha256:…` or `sha512:…`. */
export interface Digest {
  algorithm: DigestAlgorithm;
  /** Lower-case hexadecimal. */
  encoded: string;
}

/**
 * Parses a digest: image-spec `descriptor.md`, "Digests". A digest that passes has no character that has a meaning in
 * a path.
 *
 * @throws UruncError `image-invalid`
 */
export function parseDigest(text: string): Digest {
  const [algorithm, encoded, ...more] = text.split(":");
  const length = ENCODED_LENGTH[algorithm as DigestAlgorithm];
  if (!Object.hasOwn(ENCODED_LENGTH, algorithm ?? "") || encoded === undefined || more.length > 0) {
    throw new UruncError("image-invalid", `${shown(text)} is no digest: sha256:… and sha512:… are known`);
  }
  if (encoded.length !== length || !/^[0-9a-f]+$/.test(encoded)) {
    throw new UruncError(
      "image-invalid",
      `${shown(text)} is no digest: ${algorithm} is followed by ${length} lower-case hexadecimal digits`,
    );
  }
  return { algorithm: algorithm as DigestAlgorithm, encoded };
}

/** The digest of bytes, as `sha256:…` unless another algorithm is named. */
export function digestOf(bytes: Uint8Array | string, algorithm: DigestAlgorithm = "sha256"): string {
  return `${algorithm}:${new Bun.CryptoHasher(algorithm).update(bytes).digest("hex")}`;
}

function shown(text: string): string {
  return JSON.stringify(text.length > 160 ? `${text.slice(0, 160)}…` : text);
}
