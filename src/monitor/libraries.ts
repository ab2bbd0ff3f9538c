import { realpathSync } from "node:fs";
import { open } from "node:fs/promises";
import { dirname, join, normalize } from "node:path";
import { UruncError } from "../errors.ts";

/** The kind of the ELF program header that names the dynamic loader. */
const PT_INTERP = 3;

/**
 * What programs need to be loaded where nothing else of the host is: the dynamic loader that the first of them names,
 * and the libraries of each. Nothing for a program that is linked statically.
 *
 * @param programs absolute; the first is one, others may be modules of it
 * @returns paths of the host by where the copies go
 * @throws UruncError `internal` for what is no program, or lacks a library
 */
export async function librariesOf(programs: readonly string[]): Promise<Map<string, string>> {
  const paths = new Map<string, string>();
  const [program] = programs;
  const loader = program === undefined ? undefined : await readInterpreter(program);
  if (loader === undefined) return paths;
  paths.set(...asIs(loader));
  for (const path of programs) {
    for (const [place, library] of await librariesFor(loader, path)) paths.set(place, library);
  }
  return paths;
}

/** A file of the host, and where its copy goes. */
export function asIs(path: string): [place: string, path: string] {
  return [placeOf(path), path];
}

/** Where a copy of a file goes: `/lib`, `/lib64`, `/bin` and `/sbin` are links into `/usr` there. */
export function placeOf(path: string): string {
  return /^\/(lib|lib64|bin|sbin)\//.test(path) ? `/usr${path}` : path;
}

/** The dynamic loader that an ELF program names, or undefined for one that is linked statically. */
async function readInterpreter(program: string): Promise<string | undefined> {
  const file = await open(program, "r");
  try {
    const read = async (offset: number, length: number) => {
      const buffer = Buffer.alloc(length);
      const { bytesRead } = await file.read(buffer, 0, length, offset);
      if (bytesRead < length) throw new UruncError("internal", `${program} is cut short`);
      return buffer;
    };
    const header = await read(0, 64);
    // \x7fELF, 64 bit, little-endian.
    if (header.toString("latin1", 0, 6) !== "\x7fELF\x02\x01") {
      throw new UruncError("internal", `${program} is not a 64-bit ELF program`);
    }
    const entrySize = header.readUInt16LE(54);
    const segments = await read(Number(header.readBigUInt64LE(32)), entrySize * header.readUInt16LE(56));
    for (let at = 0; at < segments.length; at += entrySize) {
      if (segments.readUInt32LE(at) !== PT_INTERP) continue;
      const name = await read(
        Number(segments.readBigUInt64LE(at + 8)),
        Number(segments.readBigUInt64LE(at + 32)),
      );
      return name.toString().replace(/\0.*$/s, "");
    }
    return undefined;
  } finally {
    await file.close();
  }
}

/**
 * The libraries that the loader finds for a program, by the places where it will find their copies: there is
 * no `/etc/ld.so.cache`, so that a library known by that alone goes to one of the loader's own directories.
 */
async function librariesFor(loader: string, program: string): Promise<Map<string, string>> {
  const found = parseLibraries((await list(loader, ["--inhibit-cache"], program)).stdout);
  const places = new Map([...found.values()].map(asIs));
  const { stdout, stderr, status } = await list(loader, [], program);
  const missing = /^\s+(\S+) => not found/m.exec(stdout)?.[1];
  if (missing !== undefined) {
    throw new UruncError("internal", `${program} needs the library ${missing}, which is not installed`);
  }
  if (status !== 0) {
    throw new UruncError(
      "internal",
      `${loader} cannot load ${program}: ${stderr.trim() || `status ${status}`}`,
    );
  }
  const ownDirectory = dirname(placeOf(realpathSync(loader)));
  for (const [name, path] of parseLibraries(stdout)) {
    if (!found.has(name)) places.set(join(ownDirectory, name), path);
  }
  return places;
}

/** What `ldd` runs. */
async function list(
  loader: string,
  options: readonly string[],
  program: string,
): Promise<{ stdout: string; stderr: string; status: number }> {
  const child = Bun.spawn([loader, ...options, program], {
    // And without the caller's LD_LIBRARY_PATH, which is not meant.
    env: { LD_TRACE_LOADED_OBJECTS: "1" },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const [stdout, stderr, status] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  return { stdout, stderr, status };
}

/** Names of libraries, and the paths that the dynamic loader found for them. */
function parseLibraries(list: string): Map<string, string> {
  const libraries = new Map<string, string>();
  for (const [, name, path] of list.matchAll(/^\s+(\S+) => (\/.*) \(0x[0-9a-f]+\)$/gm)) {
    if (name !== undefined && path !== undefined) libraries.set(name, normalize(path));
  }
  return libraries;
}
