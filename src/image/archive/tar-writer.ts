import { UruncError } from "../../errors.ts";
import type { Chunks } from "../spec/verify.ts";

const BLOCK = 512;

/** Offsets of POSIX.1-1988's header ("ustar"), each a string of octal digits or of characters. */
const FIELDS = {
  name: [0, 100],
  mode: [100, 8],
  uid: [108, 8],
  gid: [116, 8],
  size: [124, 12],
  mtime: [136, 12],
  checksum: [148, 8],
  type: [156, 1],
  magic: [257, 8],
} as const;

/** The largest size that the octal field has place for. */
const MAXIMUM_OCTAL = 8 ** 11 - 1;

/**
 * The header of a regular file that belongs to root, of the time 0: the same content gives the same bytes.
 *
 * @param name at most 100 ASCII characters
 * @param size bytes
 */
export function tarHeader(name: string, size: number): Uint8Array {
  if (!/^[\x21-\x7e]{1,100}$/.test(name)) {
    throw new UruncError("internal", `no name for a tar archive: ${JSON.stringify(name)}`);
  }
  const header = Buffer.alloc(BLOCK);
  const put = (field: keyof typeof FIELDS, text: string) => header.write(text, FIELDS[field][0], "latin1");
  put("name", name);
  put("mode", "0000644\0");
  put("uid", "0000000\0");
  put("gid", "0000000\0");
  if (size <= MAXIMUM_OCTAL) put("size", `${size.toString(8).padStart(11, "0")}\0`);
  else {
    // GNU's and star's base 256.
    header.writeBigUInt64BE(BigInt(size), FIELDS.size[0] + 4);
    header[FIELDS.size[0]] = 0x80;
  }
  put("mtime", "00000000000\0");
  put("type", "0");
  put("magic", "ustar\u000000");
  put("checksum", " ".repeat(8));
  const sum = header.reduce((total, byte) => total + byte, 0);
  put("checksum", `${sum.toString(8).padStart(6, "0")}\0 `);
  return header;
}

/** Takes bytes; resolves when more may come. */
export type Write = (chunk: Uint8Array) => Promise<void>;

/** Writes an archive of regular files as it goes along. */
export class TarWriter {
  readonly #write: Write;
  readonly #names = new Set<string>();

  constructor(write: Write) {
    this.#write = write;
  }

  has(name: string): boolean {
    return this.#names.has(name);
  }

  /** @param size bytes that the content has, neither more nor fewer */
  async file(name: string, size: number, content: Chunks | Uint8Array): Promise<void> {
    this.#names.add(name);
    await this.#write(tarHeader(name, size));
    let written = 0;
    const chunks = content instanceof Uint8Array ? [content] : content;
    for await (const chunk of chunks) {
      written += chunk.length;
      await this.#write(chunk);
    }
    if (written !== size) {
      throw new UruncError("image-invalid", `${name} has ${written} bytes in the place of ${size}`);
    }
    if (size % BLOCK !== 0) await this.#write(new Uint8Array(BLOCK - (size % BLOCK)));
  }

  /** Two blocks of nothing are an archive's end. */
  async end(): Promise<void> {
    await this.#write(new Uint8Array(2 * BLOCK));
  }
}
