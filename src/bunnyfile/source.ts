import { parseReference, type Reference } from "../image/spec/reference.ts";
import type { Source } from "./bunnyfile.ts";
import type { Located } from "./position.ts";
import type { Field, YamlReader } from "./reader.ts";

/** Linux's longest path, without its final NUL. */
const MAX_PATH = 4095;

/** Reads an image's name. */
export function referenceOf(read: YamlReader, { value, at }: Located<string>): Located<Reference> {
  try {
    return { value: parseReference(value), at };
  } catch (cause) {
    throw read.wrong(at, (cause as Error).message, cause);
  }
}

/** A path in the build's context, `..` in it resolved. */
export function localPath(read: YamlReader, field: Field): Located<string> {
  return local(read, read.word(field));
}

/** A path in an image: absolute, `..` in it resolved. */
export function pathInImage(read: YamlReader, field: Field): Located<string> {
  const path = read.word(field);
  return { value: `/${words(read, path).join("/")}`, at: path.at };
}

/** A source of files: of the context for `local`, else of the image that is named. */
export function sourceOf(read: YamlReader, from: Located<string>, path: Located<string>): Source {
  if (from.value === "local") return { kind: "local", path: local(read, path) };
  const value = `/${words(read, path).join("/")}`;
  return { kind: "image", reference: referenceOf(read, from), path: { value, at: path.at } };
}

/** The names of a path below a root, which `..` may not leave. */
export function words(read: YamlReader, { value, at }: Located<string>): string[] {
  if (Buffer.byteLength(value) > MAX_PATH) throw read.wrong(at, `a path has at most ${MAX_PATH} bytes`);
  const names: string[] = [];
  for (const name of value.split("/")) {
    if (name === "" || name === ".") continue;
    if (name !== "..") names.push(name);
    else if (names.pop() === undefined) {
      throw read.wrong(
        at,
        `the path ${JSON.stringify(value)} leads out of where it begins: leave its ".." out`,
      );
    }
  }
  return names;
}

function local(read: YamlReader, path: Located<string>): Located<string> {
  return { value: words(read, path).join("/") || ".", at: path.at };
}
