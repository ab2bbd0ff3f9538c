import type { Include } from "./bunnyfile.ts";
import type { Located } from "./position.ts";
import type { Field, YamlReader } from "./reader.ts";
import { sourceOf, words } from "./source.ts";

/** What the build itself puts into an image. */
const MADE = ["/.boot/kernel", "/.boot/rootfs", "/.boot/config", "/urunc.json"];

/** Reads `rootfs.include`: entries `SOURCE[:DESTINATION]`, or `{from, source, destination}`. */
export function readIncludes(read: YamlReader, field: Field | undefined): Include[] {
  if (field === undefined) return [];
  return read
    .list(field)
    .map((entry) => (read.isMapping(entry) ? fromMapping(read, entry) : fromText(read, entry)));
}

function fromText(read: YamlReader, entry: Field): Include {
  const { value, at } = read.word(entry);
  const colon = value.indexOf(":");
  const source = colon < 0 ? value : value.slice(0, colon);
  if (source === "") {
    throw read.wrong(at, `an entry of include is SOURCE or SOURCE:DESTINATION, not ${JSON.stringify(value)}`);
  }
  const destination = (colon < 0 ? "" : value.slice(colon + 1)) || source;
  return {
    source: sourceOf(read, { value: "local", at }, { value: source, at }),
    destination: destinationOf(read, { value: destination, at }),
  };
}

function fromMapping(read: YamlReader, entry: Field): Include {
  const fields = read.mapping(entry, ["from", "source", "destination"]);
  const wordOf = (key: string): Located<string> => {
    const field = fields.get(key);
    if (field === undefined) throw read.wrong(entry.key.at, `an entry of include lacks the key ${key}`);
    return read.word(field);
  };
  const from = fields.get("from");
  return {
    source: sourceOf(
      read,
      from === undefined ? { value: "local", at: entry.key.at } : read.word(from),
      wordOf("source"),
    ),
    destination: destinationOf(read, wordOf("destination")),
  };
}

function destinationOf(read: YamlReader, destination: Located<string>): Located<string> {
  const names = words(read, destination);
  const value = `/${names.join("/")}`;
  if (MADE.includes(value)) {
    throw read.wrong(destination.at, `${value} is made by the build: include the file under another name`);
  }
  const intoDirectory = /(^|\/)\.?$/.test(destination.value) && value !== "/";
  return { value: intoDirectory ? `${value}/` : value, at: destination.at };
}
