import { closeSync, constants, fstatSync, openSync, readSync, statSync, unlinkSync } from "node:fs";
import { type FileHandle, open as openFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, posix } from "node:path";
import { UruncError } from "../../errors.ts";
import { PushReader } from "../layers/push-reader.ts";
import { ArchiveError } from "../layers/tar-header.ts";
import { readTar, type TarEntry } from "../layers/tar-reader.ts";
import type { Chunks } from "../spec/verify.ts";
import { readFilePart, writeAll, writeError } from "../store/file.ts";

/** Members of an image's archive that are accepted. */
const MAXIMUM_ENTRIES = 20_000;

/** Bytes of an archive that are read at a time to find its headers. */
const PART = 1 << 16;

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
 * Looks through an archive for what is in it. Only its headers are read.
 *
 * @throws UruncError `image-missing` or `image-invalid`
 */
export function indexTar(path: string, called: string): TarFile {
  const status = statSync(path, { throwIfNoEntry: false });
  if (status === undefined) throw new UruncError("image-missing", `there is no file ${path}`);
  if (status.isDirectory()) throw new UruncError("image-invalid", `${path} is a directory and no archive`);
  const members = new Map<string, Member | string>();
  const entry = (entry: TarEntry) => {
    if (members.size === MAXIMUM_ENTRIES) {
      throw new UruncError("image-invalid", `${called} has more than ${MAXIMUM_ENTRIES} members`);
    }
    const name = memberName(entry.name);
    if (entry.kind === "file") {
      const { size, runs, offset } = entry;
      if (runs.reduce((sum, { length }) => sum + length, 0) !== size) {
        throw new UruncError("image-invalid", `${called} has ${name} with holes: pack it without --sparse`);
      }
      members.set(name, { offset, size });
    } else if (entry.kind === "link") {
      members.set(name, posix.join(posix.dirname(name), memberName(entry.target)));
    } else if (entry.kind === "hardlink") members.set(name, memberName(entry.target));
  };
  try {
    readHeaders(path, new PushReader((input) => readTar(input, { entry })));
  } catch (error) {
    if (error instanceof ArchiveError) throw new UruncError("image-invalid", `${called} ${error.what}`);
    throw error;
  }
  if (members.size === 0)
    throw new UruncError("image-invalid", `${called} is no tar archive, or an empty one`);
  return new TarFile(path, members);
}

function memberName(name: string): string {
  return posix.normalize(Buffer.from(name, "latin1").toString());
}

function readHeaders(path: string, reader: PushReader): void {
  const file = openArchive(path);
  try {
    const { size } = fstatSync(file);
    const buffer = Buffer.allocUnsafe(PART);
    for (let position = 0; position < size && !reader.done; ) {
      const length = readSync(file, buffer, 0, PART, position);
      if (length === 0) break;
      position += length;
      reader.push(buffer.subarray(0, length));
      const passed = Math.min(reader.unneeded, size - position);
      position += passed;
      if (passed > 0) reader.skip(passed);
    }
    reader.end();
  } finally {
    closeSync(file);
  }
}

function openArchive(path: string): number {
  try {
    return openSync(path, "r");
  } catch (cause) {
    throw new UruncError("store", `cannot read ${path}: ${(cause as Error).message}`, { cause });
  }
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
