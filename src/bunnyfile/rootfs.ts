import { type Framework, ROOTFS_TYPES, type Rootfs, type RootfsType } from "./bunnyfile.ts";
import type { Located } from "./position.ts";
import type { Field, YamlReader } from "./reader.ts";
import { referenceOf, sourceOf } from "./source.ts";

/** Those that a framework can have; the first is meant where none is named. */
const TYPES: Readonly<Record<Framework, readonly RootfsType[]>> = {
  linux: ROOTFS_TYPES,
  unikraft: ["initrd", "raw"],
  rumprun: ROOTFS_TYPES,
  mirage: ROOTFS_TYPES,
  mewz: ROOTFS_TYPES,
};

/** ext4 has nothing smaller, and numbers of its blocks have 32 bits. */
const LEAST_SIZE = 1 << 20;
const MOST_SIZE = 2 ** 44;

const UNITS: Readonly<Record<string, number>> = { "": 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30, T: 2 ** 40 };

/** Reads `rootfs`; what it includes is left to {@link readIncludes}. */
export function readRootfs(
  read: YamlReader,
  field: Field | undefined,
  framework: Framework,
): { rootfs: Rootfs; include?: Field | undefined } {
  if (field === undefined) return { rootfs: framework === "linux" ? { kind: "raw" } : { kind: "none" } };
  const fields = read.mapping(field, ["from", "path", "type", "include", "size"]);
  const include = fields.get("include");
  const fromField = fields.get("from");
  const from = fromField === undefined ? undefined : read.word(fromField);
  const type = typeOf(read, fields.get("type"), framework);
  const path = fields.get("path");
  const size = sizeOf(read, fields.get("size"));

  if (path !== undefined) {
    if (from === undefined || from.value === "scratch") {
      throw read.wrong(
        path.key.at,
        "path needs from: local, or from with the name of the image that has the file",
      );
    }
    if (type === undefined || type.value === "raw") {
      const sentence = "path names an initrd or a block image: say which with type: initrd or type: block";
      throw read.wrong(type?.at ?? path.key.at, sentence);
    }
    if (size !== undefined)
      throw read.wrong(size.at, "size is for a block image that is made, not for one at a path");
    return {
      rootfs: { kind: "file", type: type.value, source: sourceOf(read, from, read.word(path)) },
      include,
    };
  }
  if (from?.value === "local") {
    if (type?.value === "raw") {
      throw read.wrong(type.at, "a raw rootfs is not local: include the files, or name an image in from");
    }
    throw read.wrong(from.at, "from: local needs path, the initrd or block image in the build's context");
  }
  const base = from === undefined || from.value === "scratch" ? undefined : referenceOf(read, from);
  const made = type?.value ?? (TYPES[framework][0] as RootfsType);
  if (size !== undefined && made !== "block") {
    throw read.wrong(size.at, `size is for type: block, and this rootfs is ${made}`);
  }
  const based = base === undefined ? {} : { base };
  if (made === "raw") return { rootfs: { kind: "raw", ...based }, include };
  return {
    rootfs: { kind: "made", type: made, ...based, ...(size === undefined ? {} : { size }) },
    include,
  };
}

function typeOf(read: YamlReader, field: Field | undefined, framework: Framework) {
  if (field === undefined) return undefined;
  const type = read.oneOf<RootfsType>(field, ROOTFS_TYPES);
  if (!TYPES[framework].includes(type.value)) {
    throw read.wrong(
      type.at,
      `${framework} cannot have a rootfs ${type.value}: it has ${TYPES[framework].join(" or ")}`,
    );
  }
  return type;
}

function sizeOf(read: YamlReader, field: Field | undefined): Located<number> | undefined {
  if (field === undefined) return undefined;
  const { value, at } = read.word(field);
  const [, digits, unit = ""] = /^([1-9][0-9]{0,15})([KMGT]?)(?:i?B)?$/.exec(value) ?? [];
  const size = Number(digits) * (UNITS[unit] as number);
  if (!(size >= LEAST_SIZE && size <= MOST_SIZE)) {
    throw read.wrong(
      at,
      `size is from 1M to 16T, as 200M or 2G (K, M, G and T are powers of 1024), not ${value}`,
    );
  }
  return { value: size, at };
}
