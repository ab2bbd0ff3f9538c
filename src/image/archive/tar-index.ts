import { closeSync, constants, openSync, statSync, unlinkSync } from "node:fs";
import { type FileHandle, open as openFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, posix } from "node:path";
import { extract, type Header } from "tar-stream";
import { UruncError } from "../../errors.ts";
import type { Chunks } from "../spec/verify.ts";
import { readFilePart, writeAll, writeError } from "../store/file.ts";

/** Members of an image's archive that are accepted. */
const MAXIMUM_ENTRIES = 20_000;

/** Links that are followed from one member to another. */
const MAXIMUM_LINKS = 8;

/** A regular file in an archive. */
export interface Member {
  /** Of its content in the archive, in bytes. */
  offset: number;
  size: number;
}

/** An archive whose members are read where they are, in any order. */
export class TarFile {
  readonly path: string;
  readonly #members: ReadonlyMap<string, Member | string>;

  constructor(path: string, members: ReadonlyMap<string, Member | string>) {
    this.path = path;
    this.#members = members;
  }

  /** A member by its name; `docker save` of old has links for layers that are the same. */
  find(name: string): Member | undefined {
    let at: string | undefined = posix.normalize(name);
    for (let links = 0; links <= MAXIMUM_LINKS && at !== undefined; links++) {
      const member: Member | string | undefined = this.#members.get(at);
      if (typeof member !== "string") return member;
      at = member;
    }
    return undefined;
  }

  open(member: Member, offset = 0): Chunks {
    return readFilePart(this.path, member.offset + offset, member.size - offset);
  }
}

/**
 * Looks through an archive for what is in it.
 *
 * @throws UruncError `image-missing` or `image-invalid`
 */
export async function indexTar(path: string, called: string): Promise<TarFile> {
  const status = statSync(path, { throwIfNoEntry: false });
  if (status === undefined) throw new UruncError("image-missing", `there is no file ${path}`);
  if (status.isDirectory()) throw new UruncError("image-invalid", `${path} is a directory and no archive`);
  const members = new Map<string, Member | string>();
  const parser = extract();
  parser.on("entry", (header, content, next) => {
    const { byteOffset } = header as Header & { byteOffset: number };
    const name = posix.normalize(header.name);
    if (header.type === "file" || header.type === "contiguous-file") {
      members.set(name, { offset: byteOffset, size: header.size });
    } else if (header.type === "symlink") {
      members.set(name, posix.join(posix.dirname(name), header.linkname));
    } else if (header.type === "link") members.set(name, posix.normalize(header.linkname));
    content.on("end", next);
    // The parser says the same.
    content.on("error", () => {});
    content.resume();
    if (members.size > MAXIMUM_ENTRIES) {
      parser.destroy(new Error(`it has more than ${MAXIMUM_ENTRIES} members`));
    }
  });
  try {
    await new Promise<void>((resolve, reject) => {
      parser.on("error", reject);
      parser.on("close", () => resolve());
      feed(path, parser).catch((error) => {
        parser.destroy(error as Error);
        reject(error);
      });
    });
  } catch (cause) {
    if (cause instanceof UruncError) throw cause;
    throw new UruncError("image-invalid", `${called} is no whole tar archive: ${(cause as Error).message}`, {
      cause,
    });
  }
  if (members.size === 0)
    throw new UruncError("image-invalid", `${called} is no tar archive, or an empty one`);
  return new TarFile(path, members);
}

async function feed(path: string, parser: ReturnType<typeof extract>): Promise<void> {
  for await (const chunk of readFilePart(path, 0)) {
    // The parser keeps what it gets; the reader's buffer is used again.
    if (!parser.write(Buffer.from(chunk))) {
      const { promise, resolve } = Promise.withResolvers<void>();
      parser.on("drain", resolve).on("close", resolve);
      await promise;
      parser.off("drain", resolve).off("close", resolve);
    }
    if (parser.destroyed) return;
  }
  parser.end(undefined);
}

/** Content that can be read only once, in a file that has no name and goes with the process. */
export interface Spool {
  /** Names the file for as long as it is not closed. */
  path: string;
  close(): Promise<void>;
}

export async function spool(chunks: Chunks): Promise<Spool> {
  const name = join(tmpdir(), `bunny-${process.pid}-${crypto.randomUUID()}`);
  let file: FileHandle;
  try {
    // Nobody else's file or link.
    closeSync(openSync(name, constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY, 0o600));
    file = await openFile(name, "r+");
    unlinkSync(name);
  } catch (error) {
    throw writeError(error, name);
  }
  try {
    for await (const chunk of chunks) await writeAll(file, chunk);
  } catch (error) {
    await file.close();
    throw writeError(error, tmpdir());
  }
  return { path: `/proc/self/fd/${file.fd}`, close: () => file.close() };
}
